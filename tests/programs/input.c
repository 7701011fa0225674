/* Says what its three standard streams are, then how much there is to read. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char buffer[1000];
    long total = 0, count, sum = 0;
    printf("terminals: %d %d\n", isatty(0), isatty(1));
    fflush(stdout);
    while ((count = read(0, buffer, sizeof buffer)) > 0) {
        for (long i = 0; i < count; i++)
            sum = sum * 31 + (unsigned char)buffer[i];
        total += count;
    }
    printf("%ld bytes, sum %ld, then %ld\n", total, sum, count);
    printf("and again %ld\n", (long)read(0, buffer, 1));
    return 0;
}
