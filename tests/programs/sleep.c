/* Sleeps as many seconds as its argument says, and says how long it was; computes instead if another follows. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double since(const struct timespec *before)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - before->tv_sec) + (now.tv_nsec - before->tv_nsec) / 1e9;
}

int main(int argc, char **argv)
{
    struct timespec before, length = { argc > 1 ? atoi(argv[1]) : 1, 50000000 };
    double wanted = length.tv_sec + length.tv_nsec / 1e9;
    clock_gettime(CLOCK_MONOTONIC, &before);
    if (argc > 2)
        while (since(&before) < wanted)
            ;
    else
        nanosleep(&length, 0);
    double slept = since(&before);
    printf("%s\n", slept < wanted ? "too short" : slept < wanted + 1 ? "slept" : "too long");
    return 0;
}
