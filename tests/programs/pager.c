/* Maps a file that was written, and touches a page that its server does not bring. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile char *touched;
static const char *address = "another address";

static void caught(int signal, siginfo_t *information, void *context)
{
    (void)context;
    if (information->si_addr == touched)
        address = "the address";
    siglongjmp(back, signal);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, 0);
    int file = open("/tmp/mapped", O_CREAT | O_RDWR, 0644);
    if (file < 0 || ftruncate(file, 16384))
        return 1;
    char *mapped = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        return 2;
    touched = mapped + 8192 + 5;
    for (int round = 0; round < 2; round++) {
        int signal = sigsetjmp(back, 1);
        if (!signal)
            *touched = 1;
        printf("%s at %s\n", signal == SIGBUS ? "SIGBUS" : "nothing", address);
    }
    /* A system call touches one, too. */
    int null = open("/tmp/other", O_CREAT | O_RDWR, 0644);
    printf("written: %ld\n", (long)write(null, mapped, 1));
    return 0;
}
