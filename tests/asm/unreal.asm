; unreal.asm - real mode entered from protected mode: segments that keep their limits ("big real mode"), the IVT, 16-bit stacks,
; interrupts and their IRET, limits that are enforced, and back to protected mode.
%include "lib.inc"

REAL equ 0x8000

main:
	mov esi, real
	mov edi, REAL
	mov ecx, real_end - real
	cld
	rep movsb
	mov [keep_esp], esp
	sidt [old_idt]
	jmp SEL_CODE16:REAL		; base 0, limit 64 KiB: CS keeps that limit

back:	; 32-bit protected mode again
	mov ax, SEL_DATA
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	mov ss, ax
	mov esp, [keep_esp]
	lidt [old_idt]
	EQUAL "far jump to real mode", [RESULT], 0x1234
	EQUAL "4 GiB data segment in real mode", [RESULT + 4], 0x89abcdef
	EQUAL "int through the ivt: flags", [RESULT + 8], 0
	EQUAL "int through the ivt: cs on the stack", [RESULT + 12], 0
	EQUAL "iret restores if", [RESULT + 16], 0x200
	EQUAL "limit of a segment loaded in protected mode: vector 13", [RESULT + 20], 13
	EQUAL "segment load in real mode keeps the big limit", [RESULT + 24], 0x89abcdef
	EQUAL "push wraps at 64 KiB", [RESULT + 28], 0xfffe
	EQUAL "smsw", [RESULT + 32], 0
	EQUAL "32-bit stack operations use sp", [RESULT + 36], 0xffc
	EQUAL "div by zero in real mode pushes its own ip", [RESULT + 40], 1
	EQUAL "sgdt in real mode: limit", [RESULT + 44], GDT_SIZE - 1
	EQUAL "undefined in real mode: lldt", [RESULT + 48], 6
	ret

RESULT equ 0x7000
%define R(label) (REAL + (label) - real)

	bits 16
real:
	mov ax, SEL_DATA		; 4 GiB limits
	mov ds, ax
	mov es, ax
	mov ax, SEL_DATA16		; 64 KiB
	mov fs, ax
	mov ss, ax
	mov eax, cr0
	and al, 0xfe
	mov cr0, eax
	jmp 0:R(.in_real)
.in_real:
	xor ax, ax
	mov ss, ax
	mov sp, 0x1000
	mov ds, ax
	mov es, ax
	mov dword [RESULT], 0x1234
	mov edi, 0x280000
	mov dword [edi], 0x89abcdef	; ds was loaded again, its limit stays
	mov eax, [edi]
	mov [RESULT + 4], eax
	mov ax, 0x100
	mov es, ax
	mov eax, [es:edi - 0x1000]
	mov [RESULT + 24], eax

	lidt [R(ivt)]
	mov word [0x60 * 4], R(handler)
	mov word [0x60 * 4 + 2], 0
	mov word [13 * 4], R(fault13)
	mov word [13 * 4 + 2], 0
	mov word [0], R(fault0)
	mov word [2], 0
	mov word [6 * 4], R(fault6)
	mov word [6 * 4 + 2], 0
	push word 0x0202
	popf
	int 0x60
	pushf
	cli
	pop ax
	and eax, 0x200
	mov [RESULT + 16], eax

	mov dword [RESULT + 20], 0
	mov ebx, 0x10000
.limit:	mov al, [fs:ebx]
.after_limit:
	xor sp, sp
	push ax
	movzx eax, sp
	mov [RESULT + 28], eax
	mov sp, 0x1000
	smsw ax
	and eax, 1
	mov [RESULT + 32], eax
	mov esp, 0x70001000
	push eax
	movzx eax, sp
	mov [RESULT + 36], eax
	mov esp, 0x1000
	xor cx, cx
.div:	div cx
.after_div:
	sgdt [RESULT + 0x80]
	movzx eax, word [RESULT + 0x80]
	mov [RESULT + 44], eax
.lldt:	lldt ax
.after_lldt:
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword SEL_CODE:back

handler:
	pushf
	pop ax
	and eax, 0x300			; IF and TF are clear here
	mov [RESULT + 8], eax
	mov bp, sp
	movzx eax, word [bp + 2]
	mov [RESULT + 12], eax
	iret
fault13:
	mov dword [RESULT + 20], 13
	add sp, 6
	jmp R(real.after_limit) - R(fault13) + fault13
fault0:
	mov bp, sp
	xor eax, eax
	cmp word [bp], R(real.div)
	sete al
	mov [RESULT + 40], eax
	mov word [bp], R(real.after_div)
	iret
fault6:
	mov dword [RESULT + 48], 6
	mov bp, sp
	mov word [bp], R(real.after_lldt)
	iret
ivt:	dw 0x3ff
	dd 0
real_end:
	bits 32
keep_esp:	dd 0
old_idt:	dd 0, 0
END_OF_PROGRAM
