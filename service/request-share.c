/* SPDX-License-Identifier: Apache-2.0 */
/* The preload door's operations on shares. They begin at the socket: share-answer.c. */
#include <errno.h>

#include "service/request.h"
#include "service/share.h"

int64_t request_unshare(struct request *q)
{
	return q->in->arg <= UINT32_MAX ? share_end(q->session, q->in->arg) : -EBADF;
}

int64_t request_grant(struct request *q)
{
	struct ofd *ofd = session_handle_get(q->session, q->in->handle);
	int r = ofd ? share_grant(q->session, ofd) : -EBADF;

	ofd_unref(ofd);
	return r;
}
