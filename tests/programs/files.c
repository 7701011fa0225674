/* Writes, renames and removes below the directory that its argument names, and prints what it finds. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void result(const char *what, long value)
{
    printf("%s: %s\n", what, value < 0 ? strerrorname_np(errno) : "done");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *path)
{
    char *names[2000];
    int count = 0;
    DIR *directory = opendir(path);
    if (!directory) {
        printf("%s: %s\n", path, strerrorname_np(errno));
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) && count < 2000;)
        names[count++] = strdup(entry->d_name);
    closedir(directory);
    qsort(names, count, sizeof *names, by_name);
    printf("%s has %d names:", path, count);
    for (int i = 0; i < count && i < 20; i++)
        printf(" %s", names[i]);
    puts("");
}

static void show(const char *path)
{
    struct stat data;
    if (lstat(path, &data) < 0) {
        printf("%s: %s\n", path, strerrorname_np(errno));
        return;
    }
    printf("%s: mode %o, links %lu", path, data.st_mode, (unsigned long)data.st_nlink);
    if (S_ISREG(data.st_mode))
        printf(", %ld bytes", (long)data.st_size);
    puts("");
}

static void contents(const char *path)
{
    char buffer[256];
    int file = open(path, O_RDONLY);
    long count = file < 0 ? -1 : read(file, buffer, sizeof buffer - 1);
    if (count < 0)
        printf("%s: %s\n", path, strerrorname_np(errno));
    else
        printf("%s: [%.*s]\n", path, (int)count, buffer);
    if (file >= 0)
        close(file);
}

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]) < 0) {
        perror("chdir");
        return 1;
    }
    umask(022);
    result("mkdir", mkdir("room", 0777));
    result("mkdir again", mkdir("room", 0777));
    result("chdir", chdir("room"));
    int file = open("one", O_RDWR | O_CREAT | O_EXCL, 0666);
    result("create", file);
    result("write", write(file, "first line\n", 11));
    result("create again", open("one", O_RDWR | O_CREAT | O_EXCL, 0666));
    int more = open("one", O_WRONLY | O_APPEND);
    result("append", write(more, "second line\n", 12));
    close(more);
    contents("one");
    result("pwrite", pwrite(file, "FIRST", 5, 0));
    contents("one");
    result("seek past the end", lseek(file, 5000, SEEK_SET) - 5000);
    result("write there", write(file, "x", 1));
    show("one");
    char byte = 1;
    result("read in the hole", pread(file, &byte, 1, 3000));
    printf("the hole has %d\n", byte);
    result("truncate", ftruncate(file, 16));
    contents("one");
    result("grow", ftruncate(file, 20));
    show("one");
    result("link", link("one", "two"));
    show("two");
    result("symlink", symlink("two", "three"));
    contents("three");
    char target[64];
    long length = readlink("three", target, sizeof target);
    printf("three leads to %.*s\n", (int)length, target);
    result("symlink loop", symlink("loop", "loop"));
    contents("loop");
    result("rename", rename("two", "four"));
    contents("three");
    show("four");
    result("rename over", rename("four", "one"));
    list(".");
    show("one");
    result("mkdir below", mkdir("below", 0700));
    result("rename into", rename("one", "below/one"));
    result("rename of a directory into itself", rename("below", "below/inner"));
    result("rmdir of a full one", rmdir("below"));
    result("unlink of a directory", unlink("below"));
    list("below");
    result("chmod", chmod("below/one", 0400));
    show("below/one");
    show("below");
    struct timespec times[2] = { { 1000, 500 }, { 2000, 700 } };
    result("set times", utimensat(AT_FDCWD, "below/one", times, 0));
    struct stat data;
    stat("below/one", &data);
    printf("times %ld %ld\n", (long)data.st_atime, (long)data.st_mtime);
    result("unlink while open", unlink("below/one"));
    show("below/one");
    result("write after that", pwrite(file, "still", 5, 0));
    char text[8] = { 0 };
    result("read after that", pread(file, text, 5, 0));
    printf("still there: %s\n", text);
    close(file);
    result("rmdir", rmdir("below"));
    mkdir("many", 0755);
    for (int i = 0; i < 500; i++) {
        char name[64];
        sprintf(name, "many/file-%d-with-a-name-of-some-length", i);
        file = open(name, O_WRONLY | O_CREAT, 0644);
        if (file < 0 || write(file, name, strlen(name)) < 0)
            result(name, -1);
        close(file);
    }
    list("many");
    contents("many/file-321-with-a-name-of-some-length");
    for (int i = 0; i < 500; i += 2) {
        char name[64];
        sprintf(name, "many/file-%d-with-a-name-of-some-length", i);
        if (unlink(name) < 0)
            result(name, -1);
    }
    list("many");
    /* A file of some size, written and read in pieces that fit no page. */
    static unsigned char piece[7777];
    unsigned long sum = 0;
    file = open("large", O_RDWR | O_CREAT | O_TRUNC, 0644);
    for (int i = 0; i < 300; i++) {
        for (unsigned j = 0; j < sizeof piece; j++)
            piece[j] = i * 31 + j * 7;
        if (write(file, piece, sizeof piece) != sizeof piece)
            result("write of a piece", -1);
    }
    lseek(file, 0, SEEK_SET);
    for (long count; (count = read(file, piece, 5000)) > 0;)
        for (long j = 0; j < count; j++)
            sum = sum * 31 + piece[j];
    printf("large: %lu\n", sum);
    show("large");
    FILE *stream = fopen("text", "w+");
    fprintf(stream, "%d %s %.3f\n", 42, "words", 2.5);
    rewind(stream);
    int number = 0;
    char word[16];
    int scanned = fscanf(stream, "%d %15s", &number, word);
    printf("scanned %d: %d %s\n", scanned, number, word);
    fclose(stream);
    FILE *nameless = tmpfile();
    printf("a nameless file: %d\n", nameless && fputs("x", nameless) >= 0);
    chdir("..");
    list("room");
    char directory[4096];
    printf("back in %s\n", getcwd(directory, sizeof directory) ? strrchr(directory, '/') : "nowhere");
    return 0;
}
