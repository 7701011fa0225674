/* Says hello, and what the time stamp counter was at the program's first instruction. */
#include <stdint.h>
#include <stdio.h>

#include "end.h"

extern uint64_t first_counter;

int main(void)
{
    puts("Hello, world");
    printf("boot.first %llu\n", (unsigned long long)first_counter);
    return end();
}
