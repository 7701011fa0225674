/* Sleeps as many seconds as its argument says, and says how long it was. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
    struct timespec before, after, length = { argc > 1 ? atoi(argv[1]) : 1, 50000000 };
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&length, 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    double slept = (after.tv_sec - before.tv_sec) + (after.tv_nsec - before.tv_nsec) / 1e9;
    double wanted = length.tv_sec + length.tv_nsec / 1e9;
    printf("%s\n", slept < wanted ? "too short" : slept < wanted + 1 ? "slept" : "too long");
    return 0;
}
