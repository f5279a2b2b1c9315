/* SPDX-License-Identifier: Apache-2.0 */
/* What Go's linker writes into its programs, for a program that is to be taken for one. */
	.section .note.go.buildid, "a", @note
	.p2align 2
	.long 4, 4, 4
	.asciz "Go\0"
	.ascii "test"

	.section .note.GNU-stack, "", @progbits
