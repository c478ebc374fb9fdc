"""Network namespaces without leftovers: everything lives in one pid and one network namespace that die with the process that asked for them.

`enter()` runs a command inside; there, `Namespace` makes further network namespaces that are held by a file descriptor and by
nothing else: no name, no file, nothing to clean up after a crash.
"""
import array
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *args):
    if getattr(_libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


_PROBE = "ip link set lo up && ip link add probe0 type veth peer name probe1 && ip link del probe0"


def entry():
    """(prefix of a command line that enters fresh namespaces, "") or (None, the reason why it cannot be)."""
    reasons = []
    bases = [["unshare", "--user", "--map-root-user"]]
    if os.geteuid() == 0:
        bases.insert(0, ["unshare"])
    for base in bases:
        # A /proc of our own where that is allowed (containers often refuse it); nothing in the lab depends on it.
        for proc in (["--mount-proc"], []):
            prefix = base + ["--net", "--mount", "--pid", "--fork", "--kill-child=KILL"] + proc
            try:
                probe = subprocess.run(prefix + ["sh", "-c", _PROBE], capture_output=True, text=True, timeout=20)
            except (OSError, subprocess.TimeoutExpired) as error:
                return None, f"namespaces: {error}"
            if probe.returncode == 0:
                return prefix, ""
            reasons.append(probe.stderr.strip().splitlines()[-1:] or [f"exit {probe.returncode}"])
    return None, "namespaces are not permitted here: " + "; ".join(sorted({r[0] for r in reasons}))


def enter(prefix, command, **popen):
    """Starts `command` inside fresh namespaces. They and all their processes end with it, and it ends with us."""
    return subprocess.Popen(prefix + command, preexec_fn=_die_with_parent, **popen)


class Namespace:
    """A network namespace. The calling process stays where it was."""

    def __init__(self, name):
        self.name = name
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            _call("unshare", CLONE_NEWNET)
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        finally:
            _call("setns", home, CLONE_NEWNET)
            os.close(home)
        self.ip("link set lo up")

    def _enter(self):
        _die_with_parent()
        _call("setns", self.fd, CLONE_NEWNET)

    def popen(self, command, **kwargs):
        return subprocess.Popen(command, preexec_fn=self._enter, **kwargs)

    def run(self, command, timeout=20, check=True):
        done = subprocess.run(command, preexec_fn=self._enter, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def ip(self, *lines, force=False):
        """Runs iproute2 commands in one process, in order."""
        command = ["ip"] + (["-force"] if force else []) + ["-batch", "-"]
        done = subprocess.run(command, preexec_fn=self._enter, capture_output=True, text=True, timeout=20,
                              input="".join(line + "\n" for line in lines))
        if done.returncode != 0 and not force:
            raise RuntimeError(f"{self.name}: ip {' ; '.join(lines)}: {done.stderr.strip()}")

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, proto=0):
        """A socket that lives in this namespace, usable from here."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            _call("setns", self.fd, CLONE_NEWNET)
            try:
                return socket.socket(family, kind, proto)
            finally:
                _call("setns", home, CLONE_NEWNET)
        finally:
            os.close(home)

    def checksums_in_software(self, interface):
        """A veth leaves checksums to hardware that is not there; a packet socket would see them missing (ETHTOOL_STXCSUM off)."""
        with self.socket() as s:
            value = array.array("B", struct.pack("II", 0x17, 0))
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            fcntl.ioctl(s, 0x8946, request.ljust(40, b"\0"))

    def close(self):
        os.close(self.fd)
