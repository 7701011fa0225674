/* Many system calls, by the C library and by instructions of our own. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static long immediate(void)
{
    long result;
    __asm__ volatile("mov $110, %%eax; syscall" : "=a"(result) : : "rcx", "r11", "memory");
    return result;
}

static __attribute__((noinline)) long in_register(long number)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
    return result;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 100000;
    long wrong = 0, parent = getppid();
    for (long i = 0; i < count; i++) {
        wrong += getppid() != parent;
        wrong += immediate() != parent;
        wrong += in_register(SYS_getppid) != parent;
        wrong += syscall(SYS_getppid) != parent;
    }
    printf("%ld calls, %ld wrong\n", 4 * count, wrong);
    return wrong != 0;
}
