/* start.S - Multiboot header, entry, interrupt entries and the way to ring 3. Written for the GNU assembler. */
	.section .multiboot, "a"
	.align 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)		/* page-aligned modules, memory information */

	.text
	.globl start
start:	cli
	mov $kernel_stack_top, %esp
	push $0
	popf
	push %ebx
	push %eax
	call kernel_main
1:	cli
	hlt
	jmp 1b

/* enter_user(eip, esp): an interrupt return to ring 3. */
	.globl enter_user
enter_user:
	mov 4(%esp), %ecx
	mov 8(%esp), %edx
	mov $0x23, %eax
	mov %eax, %ds
	mov %eax, %es
	push $0x23
	push %edx
	push $0x202
	push $0x1b
	push %ecx
	iret

/* Entries: those vectors for which the processor pushes no error code push a zero. */
	.set vector, 0
	.rept 49
	.align 16
	.if vector != 8 && (vector < 10 || vector > 14) && vector != 17
	push $0
	.endif
	push $vector
	jmp common
	.set vector, vector + 1
	.endr
	.align 16
syscall_entry:
	push $0
	push $0x80
common:	pusha
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	cld
	push %esp
	call interrupt
	add $4, %esp
	testb $3, 44(%esp)				/* CS of the interrupted code */
	jz 1f
	mov $0x23, %eax
	mov %eax, %ds
	mov %eax, %es
1:	popa
	add $8, %esp
	iret

	.section .rodata
	.globl vector_entries
	.align 4
vector_entries:
	.set vector, 0
	.rept 49
	.long syscall_entry - (49 - vector) * 16
	.set vector, vector + 1
	.endr
	.long syscall_entry

	.bss
	.align 16
	.space 8192
	.globl kernel_stack_top
kernel_stack_top:
