/* Goes on while a server of its image is ended, and says what has become of what it held. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE "/data/held"
#define OTHER "/data/other"
#define WRITTEN "/tmp/written"

static const char *what(long result)
{
    return result >= 0 ? "works" : strerrorname_np(errno);
}

/* Reads the start of a file that is open. */
static long held(int file)
{
    char bytes[8];
    return pread(file, bytes, sizeof bytes, 0);
}

/* Opens, reads and closes a file. */
static long fresh(const char *path)
{
    int file = open(path, O_RDONLY);
    if (file < 0)
        return -1;
    long result = held(file);
    int kept = errno;
    close(file);
    errno = kept;
    return result;
}

int main(int argc, char **argv)
{
    (void)argc;
    long rounds = 0;
    for (const char *digit = argv[1]; *digit; digit++)
        rounds = rounds * 10 + *digit - '0';
    int image = open(IMAGE, O_RDONLY), written = open(WRITTEN, O_CREAT | O_RDWR, 0644);
    if (image < 0 || written < 0 || write(written, "written\n", 8) != 8)
        return 1;
    char *mapped = mmap(0, 65536, PROT_READ, MAP_PRIVATE, open("/data/mapped", O_RDONLY), 0);
    if (mapped == MAP_FAILED || mapped[0] != 'm')
        return 2;
    /* Both files, new opens and the directory all the time: one of them meets the end. */
    long interrupted = 0;
    while (rounds-- > 0) {
        struct stat status;
        held(image);
        held(written);
        interrupted += fresh(OTHER) < 0 && errno != EIO;
        interrupted += stat(OTHER, &status) < 0 && errno != EIO;
        usleep(2000);
    }
    printf("held in the image: %s\n", what(held(image)));
    printf("held in memory: %s\n", what(held(written)));
    printf("mapped: %s\n", mapped[65535] == 'm' ? "works" : "is something else");
    printf("opened anew in the image: %s\n", what(fresh(IMAGE)));
    printf("opened anew in memory: %s\n", what(fresh(WRITTEN)));
    int again = open("/tmp/again", O_CREAT | O_RDWR, 0644);
    printf("written anew: %s\n", what(again < 0 ? -1 : write(again, "again\n", 6)));
    printf("read anew: %s\n", what(fresh("/tmp/again")));
    printf("other errors: %ld\n", interrupted);
    return 0;
}
