/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that are redirected to preload_dispatch(); every other one stays as libc has it.
 *
 * The list may be extended freely: sites are chosen by it when a process starts and when an overlay is written.
 * Only a call that libc makes in an unusual way needs its library's table made again (scripts/gen-sites.py);
 * the unit test of the tables says so when that is the case. `name` is <asm/unistd.h>'s.
 */
#pragma once

#include <stdint.h>

#define PRELOAD_INTEREST(X) \
	/* U: done by the service, or by the cache that it shares with us */ \
	X(0, read) \
	X(1, write) \
	X(2, open) \
	X(3, close) \
	X(4, stat) \
	X(5, fstat) \
	X(6, lstat) \
	X(8, lseek) \
	X(16, ioctl) \
	X(17, pread64) \
	X(18, pwrite64) \
	X(19, readv) \
	X(20, writev) \
	X(21, access) \
	X(32, dup) \
	X(33, dup2) \
	X(72, fcntl) \
	X(73, flock) \
	X(74, fsync) \
	X(75, fdatasync) \
	X(76, truncate) \
	X(77, ftruncate) \
	X(78, getdents) \
	X(82, rename) \
	X(83, mkdir) \
	X(84, rmdir) \
	X(85, creat) \
	X(86, link) \
	X(87, unlink) \
	X(88, symlink) \
	X(89, readlink) \
	X(90, chmod) \
	X(91, fchmod) \
	X(92, chown) \
	X(93, fchown) \
	X(94, lchown) \
	X(132, utime) \
	X(133, mknod) \
	X(137, statfs) \
	X(138, fstatfs) \
	X(162, sync) \
	X(187, readahead) \
	X(188, setxattr) \
	X(189, lsetxattr) \
	X(190, fsetxattr) \
	X(191, getxattr) \
	X(192, lgetxattr) \
	X(193, fgetxattr) \
	X(194, listxattr) \
	X(195, llistxattr) \
	X(196, flistxattr) \
	X(197, removexattr) \
	X(198, lremovexattr) \
	X(199, fremovexattr) \
	X(217, getdents64) \
	X(221, fadvise64) \
	X(235, utimes) \
	X(257, openat) \
	X(258, mkdirat) \
	X(259, mknodat) \
	X(260, fchownat) \
	X(261, futimesat) \
	X(262, newfstatat) \
	X(263, unlinkat) \
	X(264, renameat) \
	X(265, linkat) \
	X(266, symlinkat) \
	X(267, readlinkat) \
	X(268, fchmodat) \
	X(269, faccessat) \
	X(277, sync_file_range) \
	X(280, utimensat) \
	X(285, fallocate) \
	X(292, dup3) \
	X(295, preadv) \
	X(296, pwritev) \
	X(306, syncfs) \
	X(316, renameat2) \
	X(326, copy_file_range) \
	X(327, preadv2) \
	X(328, pwritev2) \
	X(332, statx) \
	X(437, openat2) \
	X(439, faccessat2) \
	X(452, fchmodat2) \
	/* M: the descriptor is made real first, then the kernel does it */ \
	X(9, mmap) \
	X(40, sendfile) \
	X(46, sendmsg) \
	X(51, getsockname) \
	X(52, getpeername) \
	X(55, getsockopt) \
	X(209, io_submit) \
	X(233, epoll_ctl) \
	X(254, inotify_add_watch) \
	X(275, splice) \
	X(276, tee) \
	X(278, vmsplice) \
	X(301, fanotify_mark) \
	X(303, name_to_handle_at) \
	X(304, open_by_handle_at) \
	X(307, sendmmsg) \
	X(312, kcmp) \
	X(322, execveat) \
	X(425, io_uring_setup) \
	X(426, io_uring_enter) \
	X(427, io_uring_register) \
	X(428, open_tree) \
	X(442, mount_setattr) \
	X(451, cachestat) \
	X(463, setxattrat) \
	X(464, getxattrat) \
	X(465, listxattrat) \
	X(466, removexattrat) \
	X(468, file_getattr) \
	X(469, file_setattr) \
	/* T: state of the process that the dispatcher has to follow */ \
	X(7, poll) \
	X(10, mprotect) \
	X(11, munmap) \
	X(12, brk) \
	X(25, mremap) \
	X(26, msync) \
	X(67, shmdt) \
	X(23, select) \
	X(56, clone) \
	X(57, fork) \
	X(58, vfork) \
	X(59, execve) \
	X(79, getcwd) \
	X(80, chdir) \
	X(81, fchdir) \
	X(95, umask) \
	X(105, setuid) \
	X(106, setgid) \
	X(113, setreuid) \
	X(114, setregid) \
	X(116, setgroups) \
	X(117, setresuid) \
	X(119, setresgid) \
	X(122, setfsuid) \
	X(123, setfsgid) \
	X(155, pivot_root) \
	X(126, capset) \
	X(157, prctl) \
	X(160, setrlimit) \
	X(161, chroot) \
	X(165, mount) \
	X(166, umount2) \
	X(270, pselect6) \
	X(271, ppoll) \
	X(272, unshare) \
	X(302, prlimit64) \
	X(308, setns) \
	X(317, seccomp) \
	X(429, move_mount) \
	X(435, clone3) \
	X(436, close_range) \
	/* V: makes a descriptor, or waits for long: the vacant one (fd-vacant.c) is closed first */ \
	X(22, pipe) \
	X(34, pause) \
	X(35, nanosleep) \
	X(41, socket) \
	X(43, accept) \
	X(45, recvfrom) \
	X(47, recvmsg) \
	X(53, socketpair) \
	X(61, wait4) \
	X(128, rt_sigtimedwait) \
	X(130, rt_sigsuspend) \
	X(213, epoll_create) \
	X(230, clock_nanosleep) \
	X(232, epoll_wait) \
	X(240, mq_open) \
	X(247, waitid) \
	X(253, inotify_init) \
	X(281, epoll_pwait) \
	X(282, signalfd) \
	X(283, timerfd_create) \
	X(284, eventfd) \
	X(288, accept4) \
	X(289, signalfd4) \
	X(290, eventfd2) \
	X(291, epoll_create1) \
	X(293, pipe2) \
	X(294, inotify_init1) \
	X(298, perf_event_open) \
	X(299, recvmmsg) \
	X(300, fanotify_init) \
	X(319, memfd_create) \
	X(321, bpf) \
	X(323, userfaultfd) \
	X(430, fsopen) \
	X(432, fsmount) \
	X(433, fspick) \
	X(434, pidfd_open) \
	X(438, pidfd_getfd) \
	X(441, epoll_pwait2) \
	X(444, landlock_create_ruleset) \
	X(447, memfd_secret) \
	X(467, open_tree_attr)

enum { INTEREST_MAX = 512 };

/* One byte a number; entry.S reads it too. */
extern const uint8_t interest_map[INTEREST_MAX];

static inline int interest_has(uint32_t nr)
{
	return nr < INTEREST_MAX && interest_map[nr];
}
