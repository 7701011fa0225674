"""Prints the first primes; the number of them is the argument."""

import itertools
import sys


def primes():
    found = []
    for number in itertools.count(2):
        if all(number % prime for prime in itertools.takewhile(lambda p: p * p <= number, found)):
            found.append(number)
            yield number


count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
print(*itertools.islice(primes(), count))
