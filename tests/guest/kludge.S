/*
 * kludge.S - a Multiboot kernel that is no ELF file ("a.out kludge"): the header tells where the file goes and where to enter.
 * Prints a line on COM1 and port 0xe9, checks that its .bss was cleared, and halts for good.
 */
	.set load, 0x200000
	.text
	.globl start
header:	.long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
	.long header, load, end, bss_end, start
start:	mov $failed, %esi
	cmp $0x2badb002, %eax
	jne print
	mov $end, %edi
	mov $(bss_end - end), %ecx
	xor %eax, %eax
	cld
	repe scasb
	jne print
	mov $good, %esi
print:	lodsb
	test %al, %al
	jz 1f
	mov $0x3f8, %dx
	out %al, %dx
	out %al, $0xe9
	jmp print
1:	cli
	hlt
	jmp 1b
good:	.asciz "kludge: all is well\r\n"
failed:	.asciz "kludge: FAILED\r\n"
	.balign 4
end:
	.set bss_end, end + 5000
