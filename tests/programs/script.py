"""A hundred lines of Python that use a good part of the standard library."""

import array
import base64
import bisect
import collections
import contextlib
import csv
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import heapq
import io
import itertools
import json
import math
import operator
import os
import pickle
import random
import re
import statistics
import string
import struct
import sys
import tempfile
import textwrap
import time
import zlib


@dataclasses.dataclass(order=True)
class Planet:
    distance: float
    name: str = dataclasses.field(compare=False)
    moons: list = dataclasses.field(default_factory=list, compare=False)


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


@functools.lru_cache(maxsize=None)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def words(text):
    yield from re.findall(r"[a-zà-ÿ]+", text.lower())


def numbers():
    print("fibonacci", fibonacci(200))
    print("factorial", math.factorial(50), math.isclose(math.sin(math.pi / 6), 0.5))
    decimal.getcontext().prec = 50
    print("decimal", decimal.Decimal(2).sqrt(), fractions.Fraction(355, 113) + fractions.Fraction(1, 7))
    source = random.Random(42)
    sample = [source.gauss(0, 1) for _ in range(1000)]
    print("random", source.randint(0, 10**9), round(statistics.stdev(sample), 9), source.sample(range(100), 5))
    print("float", repr(0.1 + 0.2), f"{1e300 * 10:g}", float("1e-310"), (2**0.5).hex())
    print("struct", struct.pack("<hIq4s", -2, 70000, -(2**40), b"kiln").hex(), array.array("H", [1, 2, 3]).tobytes().hex())
    print("product", sum(a * b for a, b in itertools.product(range(100), repeat=2)), list(itertools.accumulate(range(10), operator.mul)))


def texts():
    text = "Der Ofen brennt, der Ton wird hart; der Ofen kühlt, die Schale bleibt. " * 20
    counter = collections.Counter(words(text))
    print("words", counter.most_common(4), len(text.encode()))
    print("json", json.dumps({"a": [1, 2.5, None, True], "ü": "\u2603"}, sort_keys=True), json.loads('{"x": [1e3]}'))
    for name in ("md5", "sha1", "sha256", "sha3_256", "blake2b"):
        print(name, hashlib.new(name, text.encode()).hexdigest())
    packed = zlib.compress(text.encode(), 9)
    print("zlib", len(packed), zlib.crc32(text.encode()), zlib.decompress(packed).decode() == text)
    print("base64", base64.b64encode(bytes(range(20))).decode(), re.sub(r"(\w+)@(\w+)", r"\2 at \1", "me@home"))
    print(textwrap.fill(text[:150], 40), string.Template("$a and $b").substitute(a=1, b=2), sep="\n")
    table = io.StringIO()
    csv.writer(table).writerows([[1, "two, three", 'fo"ur'], ["ä", "", None]])
    print("csv", repr(table.getvalue()), list(csv.reader(io.StringIO(table.getvalue()))))


def objects():
    planets = [Planet(5.2, "Jupiter", ["Io"]), Planet(0.39, "Mercury"), Planet(1.0, "Earth", ["Moon"])]
    print("sorted", [planet.name for planet in sorted(planets)], Colour(2), Colour["RED"].value)
    print("pickle", pickle.loads(pickle.dumps(planets)) == planets, heapq.nsmallest(2, planets)[0].name)
    print("bisect", bisect.bisect([1, 3, 5, 7], 4), collections.OrderedDict(a=1), collections.deque(range(5), 3))
    moment = datetime.datetime(2026, 2, 28, 23, 59, tzinfo=datetime.timezone.utc) + datetime.timedelta(minutes=2)
    print("date", moment.isoformat(), moment.strftime("%A %j"), time.strftime("%Y", time.gmtime(0)))
    with contextlib.suppress(ZeroDivisionError):
        print(1 // 0)
    try:
        {}["missing"]
    except KeyError as error:
        print("error", repr(error), sys.exc_info()[0].__name__)


def files():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "données.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{n}\t{n * n}\n" for n in range(2000))
        with open(path, encoding="utf-8") as file:
            print("lines", sum(int(line.split("\t")[1]) for line in file), os.stat(path).st_size)
        os.rename(path, path + ".old")
        print("names", os.listdir(directory), os.path.exists(path))
        with open(path + ".old", "rb") as file:
            file.seek(-10, os.SEEK_END)
            print("end", file.read())
    print("gone", os.path.exists(directory), os.getcwd() != "", sys.argv[1:], os.environ.get("PYTHON_TEST"))


if __name__ == "__main__":
    print(sys.version_info[:2], sys.byteorder, sys.maxsize, sys.getfilesystemencoding())
    numbers()
    texts()
    objects()
    files()
    sys.exit(len(sys.argv))
