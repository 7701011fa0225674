/* Tries to change a file system that cannot be changed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *error(long result)
{
    return result < 0 ? strerrorname_np(errno) : "done";
}

int main(int argc, char **argv)
{
    printf("%s ", error(open("/new", O_WRONLY | O_CREAT, 0644)));
    printf("%s ", error(open(argv[0], O_RDWR)));
    printf("%s ", error(mkdir("/room", 0755)));
    printf("%s ", error(unlink(argv[0])));
    printf("%s\n", error(rename(argv[0], "/else")));
    return 0;
}
