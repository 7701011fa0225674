/* Touches as many MiB of memory as its argument says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 1;
    for (long i = 0; i < count; i++) {
        char *block = malloc(1 << 20);
        if (!block) {
            printf("refused after %ld\n", i);
            return 3;
        }
        memset(block, i + 1, 1 << 20);
    }
    printf("touched %ld\n", count);
    return 0;
}
