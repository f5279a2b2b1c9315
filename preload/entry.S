/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a stub (preload/stub.c) to preload_dispatch() and back. One door for each enum site_kind.
 *
 * In:  r11 = the address after the syscall instruction; rax = the number; the other registers and the stack as
 *      the system call finds them. CANCEL: rcx = the call that enables asynchronous cancellation. CALL: see there.
 * Out: by a jump. Handled: to r11, rax = the result. Not handled: to the syscall instruction, all registers as
 *      they were. Either way rcx, r11 and the flags are lost, as in a system call.
 *
 * Nobody returns through a stub, so the unwind tables here name the site in libc as the caller: debuggers and
 * unwinders that stop in the dispatcher see the program as if the kernel had been called. Only the three
 * instructions of the stub itself have no unwind table. A jump, not call and return, in and out also keeps a
 * shadow stack right.
 */

	.set RED_ZONE, 128
	/* glibc's struct pthread: cancelhandling, and its bits. scripts/gen-sites.py refuses a library where it
	 * is elsewhere. */
	.set CANCELHANDLING, 0x308
	.set CANCEL_ASYNC, 0x02
	.set CANCEL_RELEVANT, 0x39 /* disabled, canceled, exiting, terminated */
	.set CANCEL_CANCELED, 0x08

	.text

/* Steps below the red zone and saves what is needed: rbx, and where to go on. */
	.macro SAVE
	leaq -RED_ZONE(%rsp), %rsp
	.cfi_def_cfa_offset RED_ZONE
	pushq %rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq %r11
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rip, 0
	.endm

	.macro UNSAVE
	popq %r11
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, r11
	popq %rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	leaq RED_ZONE(%rsp), %rsp
	.cfi_def_cfa_offset 0
	.endm

	.macro DOOR name
	.globl \name
	.hidden \name
	.type \name, @function
	.p2align 5
\name:
	.cfi_startproc
	.cfi_def_cfa rsp, 0
	.cfi_register rip, r11
	.endm

	.macro END name
	.cfi_endproc
	.size \name, . - \name
	.endm

/* struct preload_regs, from its end; rcx = the program's stack pointer, r11 = site. */
	.macro DISPATCH
	movq %rsp, %rbx
	.cfi_def_cfa_register rbx
	andq $-16, %rsp
	pushq %rcx
	pushq %r11
	pushq %rax
	pushq %r9
	pushq %r8
	pushq %r10
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rax
	movq %rsp, %rdi
	call preload_dispatch
	movl %eax, %ecx
	popq %rax
	popq %rdi
	popq %rsi
	popq %rdx
	popq %r10
	popq %r8
	popq %r9
	testl %ecx, %ecx
	.endm

DOOR preload_entry_plain
.Lplain:
	SAVE
	leaq RED_ZONE + 16(%rsp), %rcx
	DISPATCH
	jz 1f
	movq (%rsp), %rax
	.cfi_remember_state
	movq %rbx, %rsp
	.cfi_def_cfa_register rsp
	UNSAVE
	jmp *%r11
1:	.cfi_restore_state
	movq %rbx, %rsp
	.cfi_def_cfa_register rsp
	UNSAVE
	subq $2, %r11
	jmp *%r11
END preload_entry_plain

/* syscall() and its like: most of what comes is of no interest. */
DOOR preload_entry_dynamic
	cmpq $512, %rax /* INTEREST_MAX */
	jae 1f
	leaq interest_map(%rip), %rcx
	cmpb $0, (%rcx,%rax)
	jne .Lplain
1:	subq $2, %r11
	jmp *%r11
END preload_entry_dynamic

/*
 * glibc before 2.41 makes the system calls that are cancellation points with asynchronous cancellation enabled:
 * from there on a signal may unwind the thread at any instruction. It must not do so while the dispatcher holds
 * a request, so the mode is taken back meanwhile. What is passed on runs with it again; if the cancellation
 * came in between, nobody sends a signal any more, and the thread goes back to the call that enables it, which
 * acts upon it. (Everything that libc keeps across that call is where it was.)
 */
DOOR preload_entry_cancel
	lock andl $~CANCEL_ASYNC, %fs:CANCELHANDLING
	SAVE
	pushq %rcx
	.cfi_adjust_cfa_offset 8
	leaq RED_ZONE + 24(%rsp), %rcx
	DISPATCH
	jz 1f
	movq (%rsp), %rax
	.cfi_remember_state
	movq %rbx, %rsp
	.cfi_def_cfa_register rsp
	lock orl $CANCEL_ASYNC, %fs:CANCELHANDLING
	popq %rcx
	.cfi_adjust_cfa_offset -8
	UNSAVE
	jmp *%r11
1:	.cfi_restore_state
	movq %rbx, %rsp
	.cfi_def_cfa_register rsp
	lock orl $CANCEL_ASYNC, %fs:CANCELHANDLING
	movl %fs:CANCELHANDLING, %r11d
	andl $CANCEL_RELEVANT, %r11d
	cmpl $CANCEL_CANCELED, %r11d
	popq %rcx
	.cfi_adjust_cfa_offset -8
	UNSAVE
	je 2f
	subq $2, %r11
	jmp *%r11
2:	lock andl $~CANCEL_ASYNC, %fs:CANCELHANDLING
	jmp *%rcx
END preload_entry_cancel

/*
 * In place of musl's `call __syscall_cp_asm(flag, number, six arguments)`, whose address is in rax; r11 is what
 * follows the call. The function's range is where a cancellation ends a system call, so what is passed on goes
 * to its start; if the flag says that the thread is cancelled already, everything does.
 */
DOOR preload_entry_call
	cmpl $0, (%rdi)
	jne 1f
	cmpq $512, %rsi /* INTEREST_MAX */
	jae 1f
	leaq interest_map(%rip), %r10
	cmpb $0, (%r10,%rsi)
	je 1f
	SAVE
	pushq %rax
	.cfi_adjust_cfa_offset 8
	leaq RED_ZONE + 24(%rsp), %rax
	movq %rsp, %rbx
	.cfi_def_cfa_register rbx
	andq $-16, %rsp
	pushq %rdi
	pushq %rdi
	pushq %rax
	pushq %r11
	pushq %rsi
	pushq 8(%rax)
	pushq (%rax)
	pushq %r9
	pushq %r8
	pushq %rcx
	pushq %rdx
	pushq %rsi
	movq %rsp, %rdi
	call preload_dispatch
	testl %eax, %eax
	popq %rsi
	popq %rdx
	popq %rcx
	popq %r8
	popq %r9
	movq 40(%rsp), %rdi
	movq 16(%rsp), %r10
	movq %rbx, %rsp
	.cfi_def_cfa_register rsp
	popq %rax
	.cfi_adjust_cfa_offset -8
	UNSAVE
	jz 1f
	movq %r10, %rax
	jmp *%r11
1:	pushq %r11
	.cfi_adjust_cfa_offset 8
	jmp *%rax
END preload_entry_call

/* Functions of libc, if its text cannot be patched; preload/got.c. Entered by a call, with C arguments. */
	.globl got_thunks
	.hidden got_thunks
	.p2align 4
got_thunks:
	.set n, 0
	.rept 64 /* GOT_THUNKS */
	.p2align 4 /* GOT_THUNK_SIZE */
	movl $n, %r11d
	jmp got_enter
	.set n, n + 1
	.endr

	.type got_enter, @function
got_enter:
	.cfi_startproc
	pushq %rbx
	.cfi_def_cfa_offset 16
	.cfi_offset rbx, -16
	movq %rsp, %rbx
	.cfi_def_cfa_register rbx
	andq $-16, %rsp
	pushq %r11
	pushq %r11
	leaq 16(%rbx), %rax
	pushq %rax
	pushq 8(%rbx)
	pushq %rax
	pushq %r9
	pushq %r8
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %r11
	movq %rsp, %rdi
	call got_dispatch
	testl %eax, %eax
	popq %r11
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %r8
	popq %r9
	movq (%rsp), %rax
	movq 24(%rsp), %r11
	movq %rbx, %rsp
	.cfi_def_cfa_register rsp
	popq %rbx
	.cfi_def_cfa_offset 8
	.cfi_restore rbx
	jz 1f
	ret
1:	leaq got_originals(%rip), %rax
	movq (%rax,%r11,8), %r11
	xorl %eax, %eax /* no vector registers, for variadic functions */
	jmp *%r11
	.cfi_endproc
	.size got_enter, . - got_enter

	.section .note.GNU-stack, "", @progbits
