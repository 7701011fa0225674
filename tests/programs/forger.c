/* Calls the system's objects by itself, in the registers of core/object/src/call.rs, by names that it has
   guessed, that were somebody's, or that nobody has: it must get nothing but refusals. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long word;

enum { BAD_REFERENCE = 1, BAD_METHOD = 3, SERVER_DIED = 7, BUSY = 8,
       WRONG_INTERFACE = 10, UNSUPPORTED = 43 };
enum { CALL = 0xcb01, RETURN = 0xcb02, SEND = 0xcb04, COLLECT = 0xcb05 };
enum { NO_METHOD = 0x7000, BIND = 0xff00 };

static word values[4];

/* The status of an operation; nothing but the stack pointer is kept by it. */
static unsigned operation(word operation, word method, word target, word object, word first, word bytes)
{
    word packed = operation << 48 | bytes << 32 | bytes << 16 | method;
    static char in[4096], out[4096];
    register word r8 __asm__("r8") = first, r9 __asm__("r9") = first, r10 __asm__("r10") = first;
    register word r12 __asm__("r12") = first, r13 __asm__("r13") = first;
    register char *r14 __asm__("r14") = in, *r15 __asm__("r15") = out;
    word second = first;
    __asm__ volatile("sub $128, %%rsp; push %%rbx; push %%rbp; syscall; pop %%rbp; pop %%rbx; add $128, %%rsp"
                     : "+a"(packed), "+D"(target), "+S"(object), "+d"(second), "+r"(r8), "+r"(r9),
                       "+r"(r10), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
                     :
                     : "rcx", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    values[0] = second, values[1] = r8, values[2] = r9, values[3] = r10;
    return packed & 0xffff;
}

static unsigned long failures;

static void refused(const char *what, unsigned status, unsigned one, unsigned other)
{
    if ((status != one && status != other) || values[0] | values[1] | values[2] | values[3]) {
        if (failures++ < 10)
            printf("%s: status %u\n", what, status);
    }
}

static word state = 88172645463325252;

static word any(void)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static word process(word index, word incarnation)
{
    return incarnation << 32 | index;
}

static int works(void)
{
    char bytes[8];
    int file = open("/etc/hostname", O_RDONLY);
    int read_some = file >= 0 && read(file, bytes, sizeof bytes) > 0;
    close(file);
    return read_some;
}

/* Processes that have not ended since the machine was started. */
static long living(void)
{
    long count = 0;
    for (word index = 1; index < 24; index++)
        count += operation(CALL, NO_METHOD, process(index, 1), 1ul << 32, 0, 0) != SERVER_DIED;
    return count;
}

int main(int argc, char **argv)
{
    const long before = living();
    unsigned long own = 0, deaf = 0, tried = 0;
    if (!works())
        return 1;
    for (word index = 0; index < 24; index++)
        for (word incarnation = 0; incarnation < 4; incarnation++)
            for (word slot = 0; slot < 80; slot++)
                for (word generation = 0; generation < 3; generation++) {
                    word target = process(index, incarnation), object = generation << 32 | slot;
                    unsigned status = operation(CALL, NO_METHOD, target, object, 0, 0);
                    /* What the program's own process holds, or the one object of a server that anybody may ask. */
                    if (status == BAD_METHOD) {
                        own++;
                        continue;
                    }
                    /* The program's own process takes no calls. */
                    if (status == BUSY) {
                        deaf += slot + generation == 0;
                        continue;
                    }
                    refused("no method", status, BAD_REFERENCE, SERVER_DIED);
                    for (word method = 1; method < 24; method++, tried++)
                        refused("a guess", operation(CALL, method, target, object, any(), method & 1 ? 64 : 0),
                                BAD_REFERENCE, SERVER_DIED);
                    for (word method = BIND; method < BIND + 6; method++, tried++) {
                        status = operation(CALL, method, target, object, any(), 0);
                        /* Only a bootstrap object can be bound to. */
                        if (status != BAD_METHOD)
                            refused("universal", status, BAD_REFERENCE, SERVER_DIED);
                    }
                }
    for (int round = 0; round < 20000; round++, tried++) {
        refused("any process", operation(CALL, any() & 63, any(), any(), any(), 0), BAD_REFERENCE, SERVER_DIED);
        refused("the kernel", operation(CALL, any() & 63, process(0, 1), any(), any(), 0), BAD_REFERENCE,
                BAD_REFERENCE);
        refused("a message", operation(SEND, any() & 63, any(), any(), any(), 0), SERVER_DIED, UNSUPPORTED);
        refused("an answer", operation(COLLECT, 0, any(), 0, 0, 0), BAD_REFERENCE, BAD_REFERENCE);
        refused("a return", operation(RETURN, 0, any(), any(), any(), 0), BAD_METHOD, BAD_METHOD);
        refused("no operation", operation(0xcb10 + (any() & 31), any() & 63, any(), any(), any(), 0), BAD_METHOD,
                BAD_METHOD);
    }
    /* The servers that there are: interfaces that nobody has. */
    for (word index = 1; index < 24; index++, tried++) {
        unsigned status = operation(CALL, BIND, process(index, 1), 1ul << 32, any(), 0);
        if (status != BUSY)
            refused("to bind", status, WRONG_INTERFACE, SERVER_DIED);
    }
    if (argc > 1) {
        /* What was somebody's: as many servers as the argument says end when they have been called often
           enough, and others come in their places. */
        for (long left = before - atol(argv[1]), rounds = 1000000; living() > left && rounds > 0; rounds--)
            ;
        for (word index = 1; index < 24; index++)
            for (word slot = 0; slot < 80; slot++)
                for (word generation = 0; generation < 3; generation++, tried++) {
                    word object = generation << 32 | slot;
                    unsigned status = operation(CALL, NO_METHOD, process(index, 2), object, 0, 0);
                    if (status != BAD_METHOD && status != BUSY)
                        refused("the next", status, BAD_REFERENCE, SERVER_DIED);
                    status = operation(CALL, NO_METHOD, process(index, 3), object, 0, 0);
                    refused("one to come", status, SERVER_DIED, SERVER_DIED);
                }
    }
    printf("%s, %s, %lu not refused\n", own < 40 && deaf < 2 ? "own few" : "own many", works() ? "works" : "is broken",
           failures);
    return tried < 100000;
}
