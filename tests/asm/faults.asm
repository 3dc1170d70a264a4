; faults.asm - exceptions: vector, error code, restart point, and that a faulting instruction has changed nothing.
%include "lib.inc"

SEL_SMALL  equ SEL_FREE		; data, base 0x1000, limit 0xff
SEL_DOWN   equ SEL_FREE + 8	; expand-down, valid above 0xfff
SEL_RO     equ SEL_FREE + 16	; read-only data
SEL_ABSENT equ SEL_FREE + 24	; not present
SEL_XONLY  equ SEL_FREE + 32	; execute-only code
SEL_DPL3   equ SEL_FREE + 40
SEL_SYS    equ SEL_FREE + 48	; an LDT descriptor: not loadable as data
BEYOND     equ GDT_SIZE

main:
	SETDESC SEL_SMALL, 0x1000, 0xff, 0x93, 0x40
	SETDESC SEL_DOWN, 0, 0xfff, 0x97, 0x40
	SETDESC SEL_RO, 0, 0xffff, 0x91, 0x40
	SETDESC SEL_ABSENT, 0, 0xffff, 0x13, 0x40
	SETDESC SEL_XONLY, 0, 0xfffff, 0x99, 0xc0
	SETDESC SEL_SYS, 0, 0xff, 0x82, 0

	; division
	xor edx, edx
	xor ecx, ecx
	FAULTS "div by zero", 0, 0, div ecx
	mov eax, 0x80000000
	mov edx, 0xffffffff
	mov ecx, -1
	FAULTS "idiv overflow", 0, 0, idiv ecx
	SAME "idiv keeps eax", eax, 0x80000000
	FAULTS "aam 0", 0, 0, db 0xd4, 0
	mov ax, 0x1000
	mov cl, 1
	FAULTS "div r8 overflow", 0, 0, div cl

	; bound, into, int3, int n
	mov dword [scratch], 10
	mov dword [scratch + 4], 20
	mov eax, 9
	FAULTS "bound below", 5, 0, bound eax, [scratch]
	mov eax, 21
	FAULTS "bound above", 5, 0, bound eax, [scratch]
	mov eax, 20
	RUNS "bound inside", bound eax, [scratch]
	TRAPS "int3", 3, int3
	mov al, 0x7f
	add al, 1
	TRAPS "into", 4, into
	TRAPS "int 0x55", 0x55, int 0x55

	; undefined opcodes
	FAULTS "ud2", 6, 0, ud2
	FAULTS "ff /7", 6, 0, db 0xff, 0xf8
	FAULTS "fe /2", 6, 0, db 0xfe, 0xd0
	FAULTS "lea reg", 6, 0, db 0x8d, 0xc0
	FAULTS "bound reg", 6, 0, db 0x62, 0x02 + 0xc0 - 2, 0, 0
	FAULTS "les reg, reg", 6, 0, db 0xc4, 0xc0, 0, 0
	FAULTS "mov cs, ax", 6, 0, db 0x8e, 0xc8
	FAULTS "mov seg 6", 6, 0, db 0x8e, 0xf0
	FAULTS "mov cr1", 6, 0, db 0x0f, 0x22, 0xc8
	FAULTS "cmpxchg8b reg", 6, 0, db 0x0f, 0xc7, 0xc8
	FAULTS "0f ff", 6, 0, db 0x0f, 0xff, 0xc0

	; LOCK
	FAULTS "lock nop", 6, 0, db 0xf0, 0x90
	FAULTS "lock mov", 6, 0, db 0xf0, 0x89, 0x05, 0, 0, 0x22, 0
	FAULTS "lock add reg", 6, 0, db 0xf0, 0x01, 0xc0
	FAULTS "lock cmp mem", 6, 0, db 0xf0, 0x39, 0x05, 0, 0, 0x22, 0
	FAULTS "lock bt mem", 6, 0, db 0xf0, 0x0f, 0xba, 0x25, 0, 0, 0x22, 0, 1
	RUNS "lock add mem", lock add [scratch], eax
	RUNS "lock xchg mem", lock xchg [scratch], eax
	RUNS "lock not mem", lock not dword [scratch]

	; instruction length
	RUNS "15 bytes", db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90
	FAULTS "16 bytes", 13, 0, db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90
	FAULTS "16 bytes with operands", 13, 0, db 0x3e, 0x3e, 0x3e, 0x3e, 0x3e, 0x3e, 0xc7, 0x05, 0, 0, 0x22, 0, 1, 2, 3, 4

	; segment loads
	mov ax, SEL_DATA3 & ~3
	RUNS "load of a dpl 3 segment", mov fs, ax
	mov ax, BEYOND
	FAULTS "selector beyond the gdt", 13, BEYOND, mov fs, ax
	mov ax, SEL_ABSENT
	FAULTS "absent segment", 11, SEL_ABSENT, mov fs, ax
	FAULTS "absent stack segment", 12, SEL_ABSENT, mov ss, ax
	mov ax, SEL_XONLY
	FAULTS "execute-only as data", 13, SEL_XONLY, mov fs, ax
	mov ax, SEL_SYS
	FAULTS "system segment as data", 13, SEL_SYS, mov gs, ax
	xor eax, eax
	FAULTS "null stack segment", 13, 0, mov ss, ax
	mov ax, SEL_RO
	FAULTS "read-only stack segment", 13, SEL_RO, mov ss, ax
	mov ax, SEL_DATA | 3
	FAULTS "stack segment with rpl 3", 13, SEL_DATA, mov ss, ax
	xor eax, eax
	RUNS "null data segment", mov fs, ax
	FAULTS "access through a null segment", 13, 0, mov eax, [fs:0]

	; limits
	mov ax, SEL_SMALL
	mov fs, ax
	RUNS "last doubleword", mov eax, [fs:0xfc]
	FAULTS "over the limit", 13, 0, mov eax, [fs:0xfd]
	FAULTS "over the limit, wrapping", 13, 0, mov eax, [fs:0xffffffff]
	FAULTS "write over the limit", 13, 0, mov [fs:0x100], al
	mov ax, SEL_DOWN
	mov fs, ax
	FAULTS "expand-down below", 13, 0, mov al, [fs:0xfff]
	RUNS "expand-down above", mov al, [fs:0x1000]
	mov ax, SEL_RO
	mov fs, ax
	RUNS "read of read-only", mov al, [fs:0]
	FAULTS "write to read-only", 13, 0, mov [fs:0], al
	FAULTS "read-modify-write of read-only", 13, 0, add [fs:0], al
	FAULTS "write to code", 13, 0, mov [cs:scratch], al
	RUNS "read of code", mov al, [cs:scratch]
	mov ax, SEL_DATA
	mov fs, ax

	; stack limits: a small stack in a 16-bit segment of 0x100 bytes
	SETDESC SEL_SMALL, PAGES, 0xff, 0x93, 0x40
	mov [old_esp], esp
	mov ax, SEL_SMALL
	mov ss, ax
	mov esp, 2
	mov dword [resume], .pushed
	mov dword [seen_vector], -1
	mov eax, [old_esp]
	mov [saved_esp], eax
	; the handler needs a stack too: a push of 4 at ESP 2 wraps to 0xfffffffe, over the limit, and so does the exception's own frame.
	; That is a double fault. Here the stack has room for the handler, but not for PUSHA.
	mov esp, 0x1c
	mov ebx, 0x1234
	db 0x60			; PUSHAD wants 32 bytes
.pushed:
	mov ax, SEL_DATA
	mov ss, ax
	mov esp, [old_esp]
	EQUAL "pushad over the stack's end", [seen_vector], 12
	EQUAL "pushad kept esp", [seen_esp], 0x1c

	; #NM
	mov eax, cr0
	or eax, 8
	mov cr0, eax
	FAULTS "fpu with TS", 7, 0, fld1
	RUNS "wait with TS, MP clear", wait
	or eax, 2
	mov cr0, eax
	FAULTS "wait with TS and MP", 7, 0, wait
	clts
	mov eax, cr0
	or eax, 4
	mov cr0, eax
	FAULTS "fpu with EM", 7, 0, fld1
	and eax, ~6
	or eax, 0x20
	mov cr0, eax
	fninit
	RUNS "fpu", fldz

	; #MF with CR0.NE: raised by the next waiting instruction
	mov word [scratch], 0x37b	; zero divide unmasked
	fldcw [scratch]
	fld1
	RUNS "fdiv that fails", fdivrp st1, st0
	FAULTS "#MF at the next wait", 16, 0, wait
	FAULTS "#MF at the next one", 16, 0, fld1
	RUNS "fnstsw does not wait", fnstsw ax
	fnclex
	fninit

	; software interrupts through bad gates
	mov dword [idt + 0x80 * 8 + 4], 0
	FAULTS "int to a missing gate", 13, 0x80 * 8 + 2, int 0x80

	; ring 3 have no right to these
	RING3 ring3_cli
	SAME "cli in ring 3 (eip)", [seen_eip], ring3_cli
	EQUAL "cli in ring 3", [seen_vector], 13
	RING3 ring3_hlt
	EQUAL "hlt in ring 3", [seen_vector], 13
	RING3 ring3_cr0
	EQUAL "mov cr0 in ring 3", [seen_vector], 13
	RING3 ring3_in
	EQUAL "in that the i/o bitmap allows", [seen_vector], 0x40
	RING3 ring3_in_beyond
	EQUAL "in behind the i/o bitmap's end", [seen_vector], 13
	RING3 ring3_int
	SAME "int 0x55 in ring 3 (error code)", [seen_error], 0x55 * 8 + 2
	SAME "int 0x55 in ring 3 (eip)", [seen_eip], ring3_int
	EQUAL "int 0x55 in ring 3", [seen_vector], 13
	RING3 ring3_ok
	SAME "ring 3 returns by int 0x40 (cs)", [seen_cs], SEL_CODE3
	SAME "ring 3 returns by int 0x40 (esp)", [seen_esp], ring3_stack_top
	EQUAL "ring 3 returns by int 0x40", [seen_vector], 0x40
	RING3 ring3_load
	SAME "ring 3 loads a ring 0 segment (error code)", [seen_error], SEL_DATA
	EQUAL "ring 3 loads a ring 0 segment", [seen_vector], 13
	RING3 ring3_popf
	EQUAL "popf in ring 3 cannot set IF", [seen_ss], SEL_DATA3
	test dword [seen_eflags], 0x3200
	setnz al
	movzx eax, al
	EQUAL "popf in ring 3 leaves IF and IOPL", eax, 0

	; double fault: the gate of #NP handling is not present
	mov byte [idt + 11 * 8 + 5], 0x0e
	mov ax, SEL_ABSENT
	ARM .double
	mov fs, ax
.double:
	mov byte [idt + 11 * 8 + 5], 0x8e
	EQUAL "contributory fault twice", [seen_vector], 8
	EQUAL "double fault's error code", [seen_error], 0
	ret

ring3_cli:	cli
	int 0x40
ring3_hlt:	hlt
	int 0x40
ring3_cr0:	mov eax, cr0
	int 0x40
ring3_in:	in al, 0x80
	int 0x40
ring3_in_beyond: mov dx, 0x100
	in al, dx
	int 0x40
ring3_int:	int 0x55
ring3_ok:	int 0x40
ring3_load:	mov ax, SEL_DATA
	mov ds, ax
	int 0x40
ring3_popf:	push dword 0x3202
	popfd
	int 0x40

old_esp:	dd 0
scratch:	dd 0, 0
END_OF_PROGRAM
