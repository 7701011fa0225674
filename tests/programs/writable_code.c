/* Memory that can be written and executed at a time: what the system says to it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    const unsigned char code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 };
    int all = PROT_READ | PROT_WRITE | PROT_EXEC;
    char *page = mmap(0, 4096, all, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("map: %s\n", page == MAP_FAILED ? strerrorname_np(errno) : "done");
    if (page != MAP_FAILED) {
        memcpy(page, code, sizeof code);
        printf("runs: %d\n", ((int (*)(void))(unsigned long)page)());
        page[1] = 43;
        printf("changed: %d\n", ((int (*)(void))(unsigned long)page)());
    }
    page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, sizeof code);
    printf("protect: %s\n", mprotect(page, 4096, all) ? strerrorname_np(errno) : "done");
    printf("protect without writing: %s\n", mprotect(page, 4096, PROT_READ | PROT_EXEC) ? strerrorname_np(errno) : "done");
    printf("runs: %d\n", ((int (*)(void))(unsigned long)page)());
    return 0;
}
