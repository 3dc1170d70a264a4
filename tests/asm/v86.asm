; v86.asm - virtual-8086 mode with a monitor in ring 0: which instructions trap with which IOPL, interrupts, segments, the stack frame,
; and VME where the processor has it.
%include "lib.inc"

LOW equ 0x8000			; linear address of the 16-bit code and its segment * 16
VSTACK equ 0x7000

; V86 label, iopl: runs the 16-bit code at the label (copied to LOW) until it traps
%macro V86 2
	ARM %%back
	push dword 0x4444		; gs
	push dword 0x3333		; fs
	push dword 0x2222		; ds
	push dword 0x1111		; es
	push dword VSTACK >> 4		; ss
	push dword 0x800		; esp
	push dword 0x20002 | (%2) << 12
	push dword LOW >> 4		; cs
	push dword (%1) - code16	; eip
	iretd
%%back:
%endmacro

main:
	mov esi, code16
	mov edi, LOW
	mov ecx, code16_end - code16
	cld
	rep movsb

	; INT n with IOPL 3 goes through the IDT; DPL must be 3
	V86 v_int40, 3
	SAME "frame: vm", [seen_eflags], 0x23002
	SAME "frame: cs", [seen_cs], LOW >> 4
	SAME "frame: ss", [seen_ss], VSTACK >> 4
	SAME "frame: esp", [seen_esp], 0x800
	SAME "frame: eip", [seen_eip], v_int40.end - code16
	mov eax, [seen_frame]
	SAME "frame: es", [eax + 20], 0x1111
	SAME "frame: ds", [eax + 24], 0x2222
	SAME "frame: fs", [eax + 28], 0x3333
	SAME "frame: gs", [eax + 32], 0x4444
	movzx eax, word [seen_ds]
	SAME "ds is null in the handler", eax, 0
	EQUAL "int 0x40 with iopl 3", [seen_vector], 0x40
	V86 v_int40, 0
	SAME "int 0x40 with iopl 0 (error)", [seen_error], 0
	SAME "int 0x40 with iopl 0 (eip)", [seen_eip], v_int40 - code16
	EQUAL "int 0x40 with iopl 0", [seen_vector], 13
	V86 v_int55, 3
	SAME "int 0x55, dpl 0 (error)", [seen_error], 0x55 * 8 + 2
	EQUAL "int 0x55, dpl 0", [seen_vector], 13
	V86 v_int3, 0
	EQUAL "int3 needs no iopl", [seen_vector], 3

	; IOPL-sensitive instructions
%macro SENSITIVE 3		; the instruction, its name, where to begin
	V86 %3, 0
	SAME {%2, " with iopl 0 (error)"}, [seen_error], 0
	SAME {%2, " with iopl 0 (eip)"}, [seen_eip], %1 - code16
	EQUAL {%2, " with iopl 0"}, [seen_vector], 13
	V86 %3, 3
	EQUAL {%2, " with iopl 3"}, [seen_vector], 0x40
%endmacro
	SENSITIVE v_cli, "cli", v_cli
	SENSITIVE v_sti, "sti", v_sti
	SENSITIVE v_pushf, "pushf", v_pushf
	SENSITIVE v_popf, "popf", v_popf
	SENSITIVE v_iret, "iret", v_iret_entry
	V86 v_hlt, 3
	EQUAL "hlt is privileged", [seen_vector], 13
	V86 v_cr0, 3
	EQUAL "mov cr0 is privileged", [seen_vector], 13
	V86 v_lgdt, 3
	EQUAL "lgdt is privileged", [seen_vector], 13
	V86 v_lldt, 3
	EQUAL "lldt is undefined", [seen_vector], 6
	V86 v_lar, 3
	EQUAL "lar is undefined", [seen_vector], 6
	V86 v_arpl, 3
	EQUAL "arpl is undefined", [seen_vector], 6
	V86 v_in, 3
	EQUAL "in that the bitmap allows", [seen_vector], 0x40
	V86 v_in_beyond, 3
	EQUAL "in behind the bitmap, even with iopl 3", [seen_vector], 13
	V86 v_popf_iopl, 3
	and dword [seen_eflags], 0x3200
	EQUAL "popf cannot change iopl", [seen_eflags], 0x3200

	; segments: base = selector * 16, limit 64 KiB
	mov dword [0x12340], 0xabcd1234
	V86 v_load, 3
	EQUAL "load through ds", [seen_eax], 0xabcd1234
	V86 v_limit, 3
	SAME "beyond 64 KiB (error)", [seen_error], 0
	EQUAL "beyond 64 KiB", [seen_vector], 13
	V86 v_stack_limit, 3
	EQUAL "stack wraps", [seen_vector], 0x40
	V86 v_far, 3
	EQUAL "far call and return", [seen_eax], 0x5678
	V86 v_32, 3
	EQUAL "operand and address size prefixes", [seen_eax], 0x12345678
	V86 v_ud, 3
	EQUAL "ud2", [seen_vector], 6
	V86 v_div, 3
	EQUAL "div by zero", [seen_vector], 0

	; VME
	mov eax, 1
	cpuid
	test edx, 2
	jz .no_vme
	; the redirection bitmap is the 32 bytes below the i/o bitmap; a bit that is set sends the interrupt to the monitor
	SETDESC SEL_TSS, tss, 104 + 32 + 32, 0x89, 0
	mov word [tss + 0x66], 104 + 32
	mov byte [tss + 104 + 8], 0xff
	mov ax, SEL_TSS
	ltr ax
	mov eax, cr4
	or eax, 1
	mov cr4, eax
	V86 v_cli, 0
	test dword [seen_eflags], 1 << 19
	setz al
	movzx eax, al
	SAME "vme: cli clears vif", eax, 1
	EQUAL "vme: cli", [seen_vector], 13	; its INT 0x40
	V86 v_sti, 0
	mov eax, [seen_eflags]
	shr eax, 19
	and eax, 1
	EQUAL "vme: sti sets vif", eax, 1
	V86 v_pushf, 0
	SAME "vme: pushf shows vif and iopl 3", [seen_eax], 0x3002
	EQUAL "vme: pushf", [seen_vector], 13
	; the bit for INT 0x40 clear: it goes through the 8086 vector table
	mov byte [tss + 104 + 8], 0
	mov word [0x40 * 4], v_vector - code16
	mov word [0x40 * 4 + 2], LOW >> 4
	V86 v_int40, 0
	SAME "vme: redirected int", [seen_eax], 0x9abc
	EQUAL "vme: redirected int ends by cli and hlt", [seen_vector], 13
	mov eax, cr4
	and eax, ~1
	mov cr4, eax
.no_vme:
	ret

	bits 16
code16:
v_int40:
	int 0x40
.end:	hlt
v_int55:
	int 0x55
v_int3:	int3
v_cli:	cli
	int 0x40
v_sti:	sti
	int 0x40
v_pushf:
	pushf
	pop ax
	int 0x40
v_popf:	popf
	int 0x40
v_iret_entry:
	push word 2
	push cs
	push word v_iret_target - code16
v_iret:	iret
v_iret_target:
	int 0x40
v_hlt:	hlt
v_cr0:	mov eax, cr0
v_lgdt:	lgdt [0]
v_lldt:	lldt ax
v_lar:	lar ax, ax
v_arpl:	db 0x63, 0xc0
v_in:	in al, 0x80
	int 0x40
v_in_beyond:
	mov dx, 0x1f0
	in al, dx
v_popf_iopl:
	push word 0x0202
	popf
	int 0x40
v_load:	mov ax, 0x1234
	mov ds, ax
	mov eax, [0]
	int 0x40
v_limit:
	mov bx, 0xffff
	mov ax, [bx]
	int 0x40
v_stack_limit:
	mov sp, 0
	push ax
	pop ax
	int 0x40
v_far:	call (LOW >> 4):(v_far_target - code16)
	int 0x40
v_far_target:
	mov eax, 0x5678
	retf
v_32:	mov ebx, v_data - code16 - 0x100
	mov ax, cs
	mov ds, ax
	mov dword [ebx + 0x100], 0x12345678
	mov bx, v_data - code16
	mov eax, [bx]
	int 0x40
v_ud:	ud2
v_div:	xor ax, ax
	div ax
v_vector:
	mov eax, 0x9abc
	cli
	hlt
v_data:	dd 0
code16_end:
	bits 32
END_OF_PROGRAM
