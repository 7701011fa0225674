/* Prints what a program is started with. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
    char directory[4096];
    for (int i = 0; i < argc; i++)
        printf("argument %d: [%s]\n", i, argv[i]);
    printf("after the last: %s\n", argv[argc] ? "something" : "null");
    size_t count = 0;
    while (environ[count])
        count++;
    qsort(environ, count, sizeof *environ, by_text);
    for (char **e = environ; *e; e++)
        printf("variable: [%s]\n", *e);
    printf("directory: %s\n", getcwd(directory, sizeof directory) ? directory : "none");
    printf("page size: %lu\n", getauxval(AT_PAGESZ));
    printf("ticks: %lu\n", getauxval(AT_CLKTCK));
    printf("secure: %lu\n", getauxval(AT_SECURE));
    printf("program headers: %lu of %lu bytes, at an address: %d\n", getauxval(AT_PHNUM), getauxval(AT_PHENT),
           getauxval(AT_PHDR) != 0);
    printf("entry: %d\n", getauxval(AT_ENTRY) != 0);
    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
    int sum = 0;
    for (int i = 0; random && i < 16; i++)
        sum |= random[i];
    printf("random: %d\n", sum != 0);
    const char *platform = (const char *)getauxval(AT_PLATFORM);
    printf("platform: %s\n", platform ? platform : "none");
    const char *name = (const char *)getauxval(AT_EXECFN);
    printf("executed: %s\n", name ? strrchr(name, '/') + 1 : "none");
    printf("stack is aligned: %d\n", ((unsigned long)argv & 7) == 0);
    return 0;
}
