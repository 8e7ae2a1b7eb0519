"""The Rust client hdfs-native, through its Python wheel, against the cluster argv[1], resting argv[2] seconds after each file."""
import os
import random
import sys
import time

from hdfs_native import AclEntry, Client, WriteOptions

client = Client(sys.argv[1])
random.seed(7)
checks = 0


def check(ok, what):
    global checks
    checks += 1
    if not ok:
        sys.exit("FAILED: " + what)


def fails(what, call):
    try:
        call()
    except Exception:
        check(True, what)
        return
    check(False, what + " should have failed")


client.mkdirs("/native/a/b", 0o755, True)
for size in (0, 1, 511, 512, 513, 65536, 3 * 1024 * 1024 + 11):
    name = f"/native/f{size}"
    data = random.randbytes(size)
    with client.create(name, WriteOptions(block_size=1024 * 1024, replication=2)) as f:
        f.write(data)
    time.sleep(float(sys.argv[2]))
    info = client.get_file_info(name)
    check(info.length == size, f"{name}: length {info.length}")
    check(info.replication == 2 and info.blocksize == 1024 * 1024, f"{name}: {info}")
    with client.read(name) as f:
        check(bytes(f.read()) == data, f"{name}: contents")
    for _ in range(8):
        off = random.randint(0, size)
        n = random.randint(0, size - off)
        with client.read(name) as f:
            f.seek(off)
            check(bytes(f.read(n)) == data[off:off + n], f"{name}: {n} bytes at {off}")
    more = random.randbytes(random.randint(1, 5000))
    with client.append(name) as f:
        f.write(more)
    with client.read(name) as f:
        check(bytes(f.read()) == data + more, f"{name}: after append")

names = sorted(os.path.basename(s.path) for s in client.list_status("/native", False))
check(names == sorted(["a"] + [f"f{n}" for n in (0, 1, 511, 512, 513, 65536, 3 * 1024 * 1024 + 11)]), f"list: {names}")
deep = [s.path for s in client.list_status("/native", True)]
check(len(deep) >= 9, f"recursive list: {deep}")

client.rename("/native/f1", "/native/a/g", False)
check(client.get_file_info("/native/a/g").length > 0, "renamed")
fails("stat of the old name", lambda: client.get_file_info("/native/f1"))
fails("rename onto a file", lambda: client.rename("/native/f511", "/native/f512", False))
client.rename("/native/f511", "/native/f512", True)
client.set_permission("/native/f512", 0o600)
client.set_owner("/native/f512", "alice", "staff")
client.set_times("/native/f512", 1717641455, 1717641456)
client.set_replication("/native/f512", 1)
s = client.get_file_info("/native/f512")
check((s.permission, s.owner, s.group, s.replication) == (0o600, "alice", "staff", 1), f"attributes: {s}")
summary = client.get_content_summary("/native")
check(summary.directory_count == 3 and summary.file_count == 6, f"summary: {summary}")
fails("delete of a full directory", lambda: client.delete("/native", False))
check(client.delete("/native", True), "recursive delete")
fails("stat after delete", lambda: client.get_file_info("/native"))

client.create("/acl").close()
check(client.get_acl_status("/acl").entries == [], "no ACL on a new file")
client.modify_acl_entries("/acl", [AclEntry("user", "access", "r-x", "bob"), AclEntry("group", "access", "rwx", "ops")])
entries = {str(e) for e in client.get_acl_status("/acl").entries}
check(len(entries) == 3, f"two named entries and the group's: {entries}")
client.remove_acl_entries("/acl", [AclEntry("group", "access", "---", "ops")])
check(len(client.get_acl_status("/acl").entries) == 2, "an entry removed")
client.set_acl("/acl", [AclEntry("user", "access", "rwx"), AclEntry("group", "access", "r-x"), AclEntry("other", "access", "---")])
check(client.get_file_info("/acl").permission == 0o750 and not client.get_acl_status("/acl").entries, "a minimal ACL is a mode")
fails("a default ACL on a file", lambda: client.modify_acl_entries("/acl", [AclEntry("user", "default", "rwx", "bob")]))
client.remove_acl("/acl")
client.delete("/acl")
client.mkdirs("/acls")
client.modify_acl_entries("/acls", [AclEntry("user", "default", "rwx", "bob")])
check(len(client.get_acl_status("/acls").entries) == 5, "a default ACL is completed")
client.mkdirs("/acls/child")
check(len(client.get_acl_status("/acls/child").entries) == 7, "a default ACL is inherited")
client.remove_default_acl("/acls")
check(client.get_acl_status("/acls").entries == [], "default ACL removed")
client.delete("/acls", True)
print(f"{checks} checks with hdfs-native passed")
