/* The smallest program of a C library that says something. */
#include <stdio.h>

int main(void)
{
    puts("Hello, world");
    return 0;
}
