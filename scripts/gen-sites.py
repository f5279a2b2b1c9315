#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the site table of one C library: gen-sites.py LIBRARY > preload/sites/NAME.h

A site is a `syscall` instruction and the window of whole instructions right before it that gives way to
a five-byte jump (preload/stub.c says how). For most the window is `mov $nr,%eax`. For the others this
program looks for one among the instructions before, and proves from the disassembly that nothing jumps
into it. Only developers run it, once per library build; the result is kept in the tree.

Needs objdump. Prints to stderr what it could not place; a number of preload/interest.h among them is an
error, since a library whose table misses some calls on descriptors must not be accelerated.
"""
import bisect
import os
import re
import struct
import subprocess
import sys

REGS = {}
for wide, rest in {
		'rax': 'eax ax al ah', 'rbx': 'ebx bx bl bh', 'rcx': 'ecx cx cl ch', 'rdx': 'edx dx dl dh',
		'rsi': 'esi si sil', 'rdi': 'edi di dil', 'rbp': 'ebp bp bpl', 'rsp': 'esp sp spl'}.items():
	for name in [wide] + rest.split():
		REGS[name] = wide
for n in range(8, 16):
	for suffix in ('', 'd', 'w', 'b'):
		REGS[f'r{n}{suffix}'] = f'r{n}'
# Offset of cancelhandling in glibc's struct pthread; entry.S has it too.
CANCELHANDLING = 0x308
# Good to have, but nothing goes wrong without: who shrinks the heap unseen gets a signal for an address in it, not EFAULT.
MAY_MISS = {12}
CALL_KEEPS = {'rbx', 'rbp', 'rsp', 'r12', 'r13', 'r14', 'r15'}
NOP = re.compile(r'^(data16 |cs )*(nop|xchg\s+%ax,%ax)')
NO_DEST = re.compile(r'^(cmp|test|nop|push|j|bt[lq]? |ret|data16|cs|ucomis|comis|hlt|ud2|out|int3|endbr|prefetch|'
	r'mfence|sfence|lfence|pause|cld|std|leave|stos|movs[bwlq]? |fld|fst|repz|lock|f[a-z])')


class Insn:
	__slots__ = ('at', 'size', 'text', 'op', 'target')

	def __init__(self, at, text):
		self.at, self.text = at, text.split(' #')[0].strip()
		words = self.text.split(None, 1)
		self.op = words[0]
		while self.op in ('notrack', 'bnd', 'repz', 'rep', 'repnz', 'cs', 'data16') and len(words) > 1:
			words = words[1].split(None, 1)
			self.op = words[0]
		self.target = None
		match = re.match(r'^(?:j\w+|call|loop\w*|xbegin)\s+([0-9a-f]+)(?: |$)', ' '.join(words))
		if match:
			self.target = int(match.group(1), 16)

	def ends(self):
		return self.op in ('ret', 'jmp', 'hlt', 'ud2')

	def branches(self):
		return self.op.startswith('j') or self.op in ('call', 'ret', 'hlt', 'ud2', 'loop', 'syscall')


class Library:
	def __init__(self, path):
		self.path = path
		with open(path, 'rb') as f:
			self.image = f.read()
		self.headers()
		self.disassemble()
		self.find_targets()
		self.pads = set()
		self.cancel = self.find_cancel()

	def headers(self):
		phoff, = struct.unpack_from('<Q', self.image, 32)
		size, count = struct.unpack_from('<HH', self.image, 54)
		self.loads, self.build_id, self.text = [], None, None
		for n in range(count):
			kind, flags, offset, addr, _, filesz = struct.unpack_from('<IIQQQQ', self.image, phoff + n * size)
			if kind == 1:
				self.loads.append((addr, offset, filesz))
				if flags & 1:
					self.text = (addr, filesz)
			elif kind == 4:
				self.note(offset, offset + filesz)

	def note(self, at, end):
		while at + 12 <= end:
			name, desc, kind = struct.unpack_from('<III', self.image, at)
			body = at + 12 + (name + 3 & ~3)
			if kind == 3 and self.image[at + 12:at + 16] == b'GNU\0':
				self.build_id = self.image[body:body + desc].hex()
			at = body + (desc + 3 & ~3)

	def bytes(self, addr, size):
		for start, offset, filesz in self.loads:
			if start <= addr < start + filesz:
				return self.image[addr - start + offset:addr - start + offset + size]
		return b''

	def disassemble(self):
		out = subprocess.run(['objdump', '-d', '-w', '--no-show-raw-insn', self.path],
			check=True, capture_output=True, text=True).stdout
		self.insns, self.labels = [], {}
		for line in out.splitlines():
			match = re.match(r'^ *([0-9a-f]+):\t(.*)', line)
			if match and match.group(2) and '(bad)' not in match.group(2):
				self.insns.append(Insn(int(match.group(1), 16), match.group(2)))
			else:
				match = re.match(r'^([0-9a-f]+) <(.*)>:$', line)
				if match:
					self.labels[int(match.group(1), 16)] = match.group(2)
		self.starts = [insn.at for insn in self.insns]
		for insn, after in zip(self.insns, self.starts[1:] + [self.text[0] + self.text[1]]):
			insn.size = after - insn.at

	def index(self, at):
		n = bisect.bisect_left(self.starts, at)
		return n if n < len(self.starts) and self.starts[n] == at else None

	def find_targets(self):
		"""Where control may arrive other than from the instruction before: to branch sources."""
		self.sources = {}
		for n, insn in enumerate(self.insns):
			if insn.target is not None:
				self.sources.setdefault(insn.target, []).append(n)
		self.opaque = set(self.labels) | {i.target for i in self.insns if i.op == 'call' and i.target}
		for insn in self.insns:
			match = re.match(r'^lea\s+0x[0-9a-f]+\(%rip\),', insn.text)
			if match:
				disp, = struct.unpack('<i', self.bytes(insn.at, insn.size)[-4:])
				self.table(insn.at + insn.size + disp)

	def table(self, addr):
		"""Takes every address that a lea names as a switch's jump table until an entry leaves the text."""
		if self.text[0] <= addr < self.text[0] + self.text[1]:
			self.opaque.add(addr)
			return
		for n in range(1024):
			raw = self.bytes(addr + 4 * n, 4)
			if len(raw) < 4:
				return
			target = addr + struct.unpack('<i', raw)[0]
			if not self.text[0] <= target < self.text[0] + self.text[1]:
				return
			self.opaque.add(target)

	def value(self, n, reg, seen):
		"""The constants that `reg` may hold before instruction n; None: anything."""
		if (n, reg) in seen:
			return set()
		seen.add((n, reg))
		at = self.insns[n].at
		if at in self.opaque or len(seen) > 4000:
			return None
		before = [m for m in self.sources.get(at, []) if self.insns[m].op != 'call']
		if n and not self.insns[n - 1].ends():
			before.append(n - 1)
		if not before:
			return set() if NOP.match(self.insns[n].text) else None  # padding: nobody comes
		values = set()
		for m in before:
			got = self.after(m, reg, seen)
			if got is None:
				return None
			values |= got
		return values

	def after(self, n, reg, seen):
		insn = self.insns[n]
		if insn.op == 'call':
			return self.value(n, reg, seen) if reg in CALL_KEEPS else None
		if insn.op == 'syscall':
			return None if reg in ('rax', 'rcx', 'r11') else self.value(n, reg, seen)
		match = re.match(r'^mov[lq]?\s+\$0x([0-9a-f]+),%(\w+)$', insn.text)
		if match and REGS.get(match.group(2)) == reg:
			return {int(match.group(1), 16)}
		match = re.match(r'^xor\s+%(\w+),%(\w+)$', insn.text)
		if match and match.group(1) == match.group(2) and REGS.get(match.group(1)) == reg:
			return {0}
		match = re.match(r'^mov\s+%(\w+),%(\w+)$', insn.text)
		if match and REGS.get(match.group(2)) == reg and match.group(1) in REGS:
			return self.value(n, REGS[match.group(1)], seen)
		if self.writes(insn, reg):
			return None
		return self.value(n, reg, seen)

	@staticmethod
	def writes(insn, reg):
		if insn.op in ('cpuid', 'rdtsc', 'rdtscp', 'xgetbv', 'cqto', 'cltd', 'cltq', 'mul', 'div', 'idiv', 'mulx',
				'mull', 'mulq', 'divl', 'divq', 'divw', 'idivl', 'idivq') or insn.op.startswith('imul'):
			return reg in ('rax', 'rbx', 'rcx', 'rdx') or insn.text.endswith(reg)
		if 'cmpxchg' in insn.text and reg == 'rax':
			return True
		if 'xchg' in insn.text or 'xadd' in insn.text:
			return any(REGS.get(name) == reg for name in re.findall(r'%(\w+)', insn.text))
		if NO_DEST.match(insn.op):
			return False
		last = re.search(r'%(\w+)$', insn.text)
		return bool(last) and REGS.get(last.group(1)) == reg

	def name(self, at):
		keys = sorted(self.labels)
		n = bisect.bisect_right(keys, at) - 1
		return f'{self.labels[keys[n]].split("@")[0]}+{at - keys[n]:#x}' if n >= 0 else '?'

	def reached(self, at):
		return at in self.opaque or at in self.sources

	def guess(self, n):
		"""A number for what value() could not follow: the nearest constant upwards. Never relied upon."""
		reg = 'rax'
		for insn in reversed(self.insns[max(0, n - 600):n]):
			match = re.match(r'^mov[lq]?\s+(\$?)(?:0x|%)(\w+),%(\w+)$', insn.text)
			if match and REGS.get(match.group(3)) == reg:
				if match.group(1):
					return int(match.group(2), 16)
				reg = REGS.get(match.group(2))
			elif self.writes(insn, reg):
				return None
		return None

	def window(self, n):
		"""Size of the window that ends where syscall n starts, and the padding it needs if it is short."""
		m, size = n, 0
		while size < 5:
			if m < n and self.reached(self.insns[m].at):
				break
			insn = self.insns[m - 1]
			if insn.branches() or '(%rip)' in insn.text or NOP.match(insn.text):
				break
			m -= 1
			size += insn.size
		if size >= 5:
			return size, 0
		# If there is not even room for a short jump, it takes the place of the syscall instruction.
		return (size, self.pad(self.insns[m].at)) if size >= 2 else (0, self.pad(self.insns[n].at))

	def pad(self, start):
		"""How far from `start` five bytes lie that nothing executes and a short jump reaches; 0: none."""
		for n in range(max(1, self.index(start) - 70), min(self.index(start) + 70, len(self.insns))):
			insn = self.insns[n]
			if not self.insns[n - 1].ends() or insn.at in self.sources or insn.at in self.labels:
				continue
			size, m = 0, n
			while NOP.match(self.insns[m].text) and (
					m == n or not self.reached(self.insns[m].at)):
				size += self.insns[m].size
				m += 1
			distance = insn.at - start
			if size >= 5 and -120 < distance < 120 and insn.at not in self.pads:
				self.pads.add(insn.at)
				return distance
		return 0

	def find_cancel(self):
		"""__pthread_enable_asynccancel: sets bit 1 of the word at %fs:CANCELHANDLING. None: there is none."""
		for at in {i.target for i in self.insns if i.op == 'call' and i.target}:
			n = self.index(at)
			text = [i.text for i in self.insns[n:n + 7]] if n is not None else ['']
			place = [re.match(r'^lea\s+0x([0-9a-f]+)\(%r\w+\),', t) for t in text]
			place = [int(m.group(1), 16) for m in place if m]
			if re.match(r'^mov\s+%fs:0x10,%\w+$', text[0]) and place and any(
					re.match(r'^or\s+\$0x2,%e', t) for t in text):
				if place[0] != CANCELHANDLING:
					sys.exit(f'{self.path}: cancelhandling is at {place[0]:#x}, not where entry.S has it')
				return at
		return None

	def enable(self, n):
		"""How far before syscall n lies the call that made cancellation asynchronous; 0: there is none."""
		for insn in reversed(self.insns[max(0, n - 30):n]):
			if insn.op == 'call':
				return self.insns[n].at - insn.at if insn.target == self.cancel else 0
			if insn.ends():
				return 0
		return 0

	def cancel_call(self, n):
		"""musl: is instruction n the call of __syscall_cp_asm? It starts by testing the flag that rdi names."""
		insn = self.insns[n]
		m = self.index(insn.target) if insn.op == 'call' and insn.target else None
		if m is None or insn.size != 5:
			return False
		text = [re.sub(r'\s+', ' ', i.text) for i in self.insns[m:m + 3]]
		return text[0] == 'mov (%rdi),%eax' and text[1] == 'test %eax,%eax' and text[2].startswith('jne')


def interest():
	here = os.path.dirname(os.path.abspath(__file__))
	with open(os.path.join(here, '..', 'preload', 'interest.h'), encoding='ascii') as f:
		return {int(nr) for nr in re.findall(r'\bX\((\d+),', f.read())}


def check(*chunks):
	"""site_check() of preload/sites/sites.c"""
	value = 2166136261
	for byte in b''.join(chunks):
		value = (value ^ byte) * 16777619 & 0xffffffff
	return value


def collect(library):
	"""Regular sites, other sites, and what has no place."""
	wanted, regular, others, lost = interest(), [], [], []
	inside = set()
	for n, insn in enumerate(library.insns):
		if library.cancel_call(n):
			others.append((insn.at, -1, 'CALL', 5, 0, 0, check(library.bytes(insn.at, 5))))
			callee = library.index(insn.target)
			inside |= set(library.starts[callee:callee + 16])
		if insn.op != 'syscall':
			continue
		raw = library.bytes(insn.at - 5, 7)
		enable = library.enable(n) if library.cancel else 0
		if raw[0] == 0xb8 and library.insns[n - 1].size == 5 and insn.at not in library.sources and not enable:
			regular.append((insn.at, struct.unpack_from('<I', raw, 1)[0]))
			continue
		values = library.value(n, 'rax', set())
		nr = list(values)[0] if values and len(values) == 1 else -1
		if (nr if nr >= 0 else library.guess(n)) not in wanted | {None} or insn.at in inside:
			continue
		window, pad = library.window(n)
		if window < 5 and not pad:
			lost.append((insn.at, nr))
			continue
		kind = 'CANCEL' if enable else 'PLAIN' if nr >= 0 else 'DYNAMIC'
		start = insn.at - window
		others.append((insn.at, nr, kind, window, pad, enable, check(
			library.bytes(start, window + 2), library.bytes(start + pad, 5) if pad else b'')))
	return regular, others, lost


def main():
	library = Library(sys.argv[1])
	regular, others, lost = collect(library)
	tag = library.build_id[:8]
	print('/* SPDX-License-Identifier: Apache-2.0 */')
	print(f'/* Made by scripts/gen-sites.py of {os.path.basename(sys.argv[1])}, build-id {library.build_id}. */')
	print(f'static const uint32_t regular_{tag}[] = {{')
	for n in range(0, len(regular), 6):
		print('\t' + ' '.join(f'SITE({at:#x}, {nr}),' for at, nr in regular[n:n + 6]))
	print('};')
	print(f'static const struct site other_{tag}[] = {{')
	for at, nr, kind, window, pad, enable, crc in others:
		print(f'\t{{{at:#x}, {nr}, SITE_{kind}, {window}, {pad}, {enable}, {crc:#010x}}}, /* {library.name(at)} */')
	print('};')
	id_bytes = ', '.join(f'0x{library.build_id[n:n + 2]}' for n in range(0, len(library.build_id), 2))
	print(f'#define TABLE_{tag}(X) X(regular_{tag}, other_{tag}, {id_bytes})')
	for at, nr in lost:
		print(f'{sys.argv[1]}: no room at {at:#x} in {library.name(at)}, number {nr}', file=sys.stderr)
	return 1 if any(nr not in MAY_MISS for at, nr in lost) else 0


sys.exit(main())
