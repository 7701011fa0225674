"""Shared mappings: what is stored and what is written are the same; SQLite's write-ahead log needs that."""

import _posixshmem
import mmap
import os
import shutil
import sqlite3
import tempfile

place = tempfile.mkdtemp()
path = os.path.join(place, "data")
with open(path, "wb") as file:
    for number in range(256):
        file.write(bytes([number]) * 4096)
with open(path, "r+b") as file:
    view = mmap.mmap(file.fileno(), 0)
    print("mapped", len(view), view[:] == open(path, "rb").read(), view[200 * 4096])
    view[5000:5005] = b"hello"
    file.seek(5000)
    print("read", file.read(5))
    os.pwrite(file.fileno(), b"HELLO", 9000)
    print("seen", view[9000:9005], view.find(b"hello"))
    view.flush()
    view.resize(1 << 21)
    print("longer", len(view), view[-1], os.stat(path).st_size)
    view.close()

name = "/kiln-shared-%d" % os.getpid()
shared = _posixshmem.shm_open(name, os.O_CREAT | os.O_RDWR, mode=0o600)
os.ftruncate(shared, 100000)
one, two = mmap.mmap(shared, 100000), mmap.mmap(shared, 100000)
_posixshmem.shm_unlink(name)
os.close(shared)
one[99999] = 7
print("shared memory", two[99999], two[0])

nameless = os.memfd_create("nameless")
os.write(nameless, b"a" * 10000)
one = mmap.mmap(nameless, 10000)
one[5000:5003] = b"xyz"
print("nameless", os.pread(nameless, 5, 4999))

path = os.path.join(place, "base")
base = sqlite3.connect(path)
print(base.execute("pragma journal_mode=wal").fetchone(), base.execute("pragma mmap_size=10000000").fetchone())
base.execute("create table t(a, b)")
with base:
    base.executemany("insert into t values(?, ?)", ((i, str(i) * 10) for i in range(2000)))
other = sqlite3.connect(path)
print(other.execute("select count(*), sum(a) from t").fetchone(), sorted(os.listdir(place)))
base.execute("pragma wal_checkpoint(truncate)")
with other:
    other.execute("delete from t where a % 2")
print(base.execute("select count(*) from t").fetchone(), base.execute("pragma integrity_check").fetchone())
base.close()
other.close()
shutil.rmtree(place)
