/* SPDX-License-Identifier: Apache-2.0 */
/* preload/aio.h describes structures of libc in words of its own. Compiled with glibc and with musl. */
#include <aio.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

/* Their words for the same. */
enum { THEIR_CANCELED = AIO_CANCELED, THEIR_NOTCANCELED = AIO_NOTCANCELED, THEIR_ALLDONE = AIO_ALLDONE };

#include "preload/aio.h"

#define SAME(theirs, their_field, ours, our_field)                                              \
	_Static_assert(offsetof(theirs, their_field) == offsetof(ours, our_field) &&            \
			       sizeof(((theirs *)0)->their_field) == sizeof(((ours *)0)->our_field), \
		       #our_field)

_Static_assert(sizeof(struct aiocb) == sizeof(struct aio_block), "size");
SAME(struct aiocb, aio_fildes, struct aio_block, fd);
SAME(struct aiocb, aio_lio_opcode, struct aio_block, opcode);
SAME(struct aiocb, aio_reqprio, struct aio_block, priority);
SAME(struct aiocb, aio_buf, struct aio_block, buf);
SAME(struct aiocb, aio_nbytes, struct aio_block, length);
SAME(struct aiocb, aio_sigevent, struct aio_block, event);
SAME(struct aiocb, aio_offset, struct aio_block, offset);
#ifdef __GLIBC__
SAME(struct aiocb, __error_code, struct aio_block, error);
SAME(struct aiocb, __return_value, struct aio_block, ret);
_Static_assert(sizeof(struct aiocb64) == sizeof(struct aio_block), "size");
SAME(struct aiocb64, __error_code, struct aio_block, error);
SAME(struct aiocb64, aio_offset, struct aio_block, offset);
#else
SAME(struct aiocb, __err, struct aio_block, error);
SAME(struct aiocb, __ret, struct aio_block, ret);
#endif

_Static_assert(sizeof(struct sigevent) == sizeof(struct aio_event), "size");
SAME(struct sigevent, sigev_value, struct aio_event, value);
SAME(struct sigevent, sigev_signo, struct aio_event, signo);
SAME(struct sigevent, sigev_notify, struct aio_event, notify);
SAME(struct sigevent, sigev_notify_function, struct aio_event, function);
SAME(struct sigevent, sigev_notify_attributes, struct aio_event, attributes);

_Static_assert(LIO_READ == 0 && LIO_WRITE == 1 && LIO_NOP == 2 && LIO_WAIT == 0 && LIO_NOWAIT == 1, "words");
_Static_assert(THEIR_CANCELED == 0 && THEIR_NOTCANCELED == 1 && THEIR_ALLDONE == 2, "words");
_Static_assert(SIGEV_SIGNAL == 0 && SIGEV_NONE == 1 && SIGEV_THREAD == 2 && SI_ASYNCIO == -4, "words");
_Static_assert(PTHREAD_CREATE_DETACHED == 1 && PTHREAD_CANCEL_ASYNCHRONOUS == 1, "words");
_Static_assert(sizeof(pthread_attr_t) <= AIO_ATTRIBUTES * sizeof(uintptr_t), "size");
_Static_assert(sizeof(pthread_t) == sizeof(uintptr_t), "size");

int main(void)
{
	return 0;
}
