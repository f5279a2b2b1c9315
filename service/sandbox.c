/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service holds descriptors that the engine gave it, and an empty root directory. What it may still do is limited
 * twice: to the capabilities that serving files needs, and by a filter that refuses the system calls by which a
 * process runs programs, changes namespaces, reaches the network or the kernel's inside.
 */
#include <errno.h>
#include <seccomp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "service/sandbox.h"

static const cap_value_t needed[] = {
	CAP_CHOWN,           /* files belong to who made them */
	CAP_DAC_OVERRIDE,    /* the checks have been made here, with the caller's identity */
	CAP_DAC_READ_SEARCH, /* open_by_handle_at */
	CAP_FOWNER,
	CAP_FSETID,
	CAP_MKNOD,
	CAP_SETFCAP,    /* security.capability */
	CAP_SYS_PTRACE, /* /proc/<pid>/cwd of clients; cross-memory attach */
	CAP_SYS_ADMIN,  /* trusted.* attributes */
};

static int capabilities_drop(void)
{
	cap_t caps = cap_init();
	int n = sizeof(needed) / sizeof(needed[0]), r = 0;

	if (!caps)
		return -ENOMEM;
	if (cap_set_flag(caps, CAP_PERMITTED, n, needed, CAP_SET) < 0 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, n, needed, CAP_SET) < 0 || cap_set_proc(caps) < 0)
		r = -errno;
	cap_free(caps);
	return r;
}

static const int refused[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(kill), SCMP_SYS(process_madvise),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns),
	SCMP_SYS(unshare), SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount), SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(bind), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
	SCMP_SYS(personality), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime),
	SCMP_SYS(adjtimex), SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(ioperm), SCMP_SYS(iopl),
	SCMP_SYS(vhangup), SCMP_SYS(syslog), SCMP_SYS(nfsservctl), SCMP_SYS(lookup_dcookie),
};

/* With a network, what it may make are sockets of the internet's kind. */
static int sockets_refuse(scmp_filter_ctx filter, bool network)
{
	uint32_t no = SCMP_ACT_ERRNO(EPERM);
	int r;

	if (!network) {
		r = seccomp_rule_add(filter, no, SCMP_SYS(socket), 0);
		return r < 0 ? r : seccomp_rule_add(filter, no, SCMP_SYS(connect), 0);
	}
	r = seccomp_rule_add(filter, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GE, AF_MAX));
	for (int family = 0; family < AF_MAX && r == 0; family++)
		if (family != AF_INET && family != AF_INET6)
			r = seccomp_rule_add(filter, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family));
	return r;
}

static int calls_refuse(bool network)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	if (r == 0)
		r = sockets_refuse(filter, network);
	if (r == 0)
		r = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return r;
}

int sandbox_enter(bool network)
{
	int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;

	if (r == 0)
		r = calls_refuse(network);
	return r < 0 ? r : capabilities_drop();
}
