/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the mount table a session may name. The fast door leads by number to any filesystem of the pool; but a process
 * in a mount namespace of its own, such as a container, is to reach what is mounted there, and nothing else: not the
 * store, nor the roots of other containers. A call to anything else is left to the kernel, which knows best.
 *
 * Of a process that could mount something the container's root is the kernel's: what it mounts would be noticed (view.h),
 * but a moment late.
 */
#include "service/session.h"
#include "service/view.h"

int session_view(struct service *s, struct session *session)
{
	return view_get(s, session, &session->view);
}

bool session_sees(const struct session *session, const struct instance *fs)
{
	const struct view *view = session->view;

	return !view || (view_shows(view, fs->index) && !(session->process.mounts && view_is_root(view, fs)));
}
