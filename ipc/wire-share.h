/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file's cached data, shared with the processes that have it open.
 *
 * Three files of the pool's private tmpfs stand behind a cached file:
 *
 *   data    its bytes at their own offsets. Clients map it: read-only, or writable if they have it open so.
 *   state   struct share_state, written by the service alone, mapped read-only: size, and a word for each page.
 *   marks   struct share_marks, mapped writable by clients that may write: what they changed. Hints, not trusted: a
 *           mark says "look at this page", never how large the file is or who may do what.
 *
 * Reading (client): load `epoch`, size, the words of the pages; all must be SHARE_PRESENT; copy; load all again; if
 * anything differs, or is not there, send a request instead. `data` does not shrink while clients copy from it, so that
 * copying cannot fault: as a rule it does not shrink at all. Where it must (share_state.exact: programs have mapped it
 * themselves, and expect SIGBUS behind the end), a client counts itself in wire_session.copying before it loads `epoch`
 * and until it has copied; the service changes the epoch, waits until the sharers' counts are 0, and cuts then.
 *
 * Overwriting (client): the same checks and share_state.writable; store; set the pages' marks, then their regions',
 * then `mtime`; check again; if anything differs, send the whole write as a request too. A late store lands in the
 * same file at the same offset: it is a write that happened later.
 *
 * Appending (client): only with a grant: one session at a time may move the end of the file up to `granted`, to where
 * the service has put pages. Take `marks->appending` by compare-and-swap 0 -> 1 (if it is taken: send a request), then
 * check that grant_session is still ours and the new end is within granted, store (first zeros, where the store begins
 * behind the end; whole pages of them are not for a client to make), mark, publish marks->size, mtime, and release, by
 * compare-and-swap 1 -> 0. To take the grant back the service clears grant_session, waits for appending
 * to be 0, and takes marks->size over, if it is within what was granted: first into `size`, then it sets marks->size to
 * 0. If appending stays 1 for long (a stopped process), the service sets it to 2 by compare-and-swap, so that the
 * client's release fails and it sends a request; and gives the file new `data`, new `marks` and a new epoch, so that
 * what is stored into the old ones is seen by nobody.
 *
 * Marks are set, and cleared by the service, in such an order that none is missed: the client stores bytes, then the
 * page's, the region's mark, then `any`, all without looking whether they are set already; the service clears `any`,
 * then the region's, then the page's, each by an exchange, and reads the bytes after that.
 */
#pragma once

#include <stdint.h>

enum {
	SHARE_MAGIC = 0x52414853, /* "SHAR" */
	SHARE_PAGE = 4096,
	SHARE_REGION = 512,                 /* pages with a common mark */
	SHARE_REGIONS_MAX = 65536,          /* files of up to 128 GiB are shared */
	SHARE_HEADER = 4096,                /* bytes before page[] in `state` */
	SHARE_MARKS_HEADER = 4096 + SHARE_REGIONS_MAX, /* bytes before page[] in `marks` */
};

/* A page's word: bit 0 says that it is there; the rest counts each time that it comes or goes. */
#define SHARE_PRESENT 1u

struct share_state {
	uint32_t magic;
	uint32_t epoch;    /* differs from when the share began: unmap, and ask again */
	uint64_t size;     /* of the file. With a grant out, marks->size (of the grant's holder) may be more */
	uint32_t writable; /* overwriting is allowed now (no set-id bits, not throttled, ...) */
	uint32_t exact;    /* the length of `data` is the file's, and may shrink: see above */
	uint64_t granted;
	uint32_t grant_session; /* number of the session that may append; UINT32_MAX: none */
	uint32_t pad[1015];
	uint32_t page[];
};
_Static_assert(__builtin_offsetof(struct share_state, page) == SHARE_HEADER, "layout");

struct share_marks {
	uint64_t size;      /* appended to; 0: not */
	int64_t mtime;      /* ns since the epoch, of the last store; 0: none since the service looked */
	uint32_t appending; /* 1: the holder of the grant is at it; 2: the service has given it up */
	uint32_t any;       /* 1: some mark was set since the service looked */
	uint32_t pad[1018];
	uint8_t region[SHARE_REGIONS_MAX];
	uint8_t page[];
};
_Static_assert(__builtin_offsetof(struct share_marks, page) == SHARE_MARKS_HEADER, "layout");
