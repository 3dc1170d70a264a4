; dpmi.asm - a host for protected-mode programs as DPMI is one: its kernel in ring 0, the host in ring 1, the client in ring 3 with its
; segments in an LDT. The client calls the host by INT 31h, INT 21h and by call gates of both sizes, the host the kernel by a call gate,
; and the kernel the BIOS, once by leaving protected mode and once in V86 mode. Exceptions go to ring 1 and from there to the client.
; Every step prints what it saw; dpmi.txt is what a processor must print (SDM volume 3: protection, interrupts, tasks, 8086 emulation).
; The line of a fault: vector, error code, how far behind its instruction the return address is.
%include "boot.inc"

IDT     equ 0x10000		; for host and client
IDT_V86 equ 0x10800		; while the BIOS runs in V86 mode
TSS_DF  equ 0x11200
TSS_T32 equ 0x11300
TSS_T16 equ 0x11400
TSS     equ 0x14000
MAP_ALL equ 104			; I/O maps in it: all ports for the BIOS, the console for the client
MAP     equ MAP_ALL + 8192
MAP_BYTES equ 33
STACK0  equ 0x1f000
STACK1  equ 0x1e000
STACK_DF equ 0x1d000
STACK_T equ 0x1c000
STACK3  equ 0x18000		; base; 4 KiB
BUFFER  equ 0x19000		; where the client has a sector read to
IRQS    equ 0x50		; vectors of the first interrupt controller in protected mode

CODE0   equ 0x08
DATA0   equ 0x10
MAIN    equ 0x18
CODE0_16 equ 0x20
DATA0_16 equ 0x28
CODE1   equ 0x31
DATA1   equ 0x39
LDT     equ 0x40
DOUBLE  equ 0x48
TASK32  equ 0x50
TASK16  equ 0x58
GATE_HOST equ 0x63		; 3 -> 1, 32-bit, 3 parameters
GATE_MANY equ 0x6b		; 3 -> 1, 32-bit, 31 parameters
CODE1_16 equ 0x71
GATE_KERNEL equ 0x79		; 1 -> 0, 1 parameter
GATE_ABSENT equ 0x83
CONFORMING equ 0x88
GATE_DATA equ 0x93		; leads to a data segment
GATE_SAME equ 0x9b		; 3 -> 3
GDT_END equ 0xa0
CODE3   equ 0x07
DATA3   equ 0x0f
STACK3S equ 0x17
BIOSDATA equ 0x1f
ABSENT  equ 0x27
CODE3_32 equ 0x2f
GATE_16 equ 0x37		; 3 -> 1, 16-bit, 2 parameters
DOWN    equ 0x3f		; expands down: offsets from 1000h up
GATE_T32 equ 0x47
GATE_T16 equ 0x4f
FREE    equ 0x57		; the first that INT 31h gives
LDT_END equ 0x80

%macro desc 5			; base, base 16-23, limit, access, flags
	dw (%3) & 0xffff, %1
	db %2, %4, (%5) | (((%3) >> 16) & 15), 0
%endmacro
%macro gate 4			; selector, offset, parameters, access
	dw %2, %1
	db %3, %4, 0, 0
%endmacro
%define C(x) ((x) - client_base)	; offset in the client's segments
%macro say32 1			; in ring 1 and 0
	push esi
	mov esi, %%text
	call print32
	pop esi
	jmp %%over
%%text:	db %1, 0
%%over:
%endmacro

main:
	mov byte [way], 0
again:
	cli
	mov al, 0xf8		; timer, keyboard, cascade
	out 0x21, al
	mov al, 0xff
	out 0xa1, al
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp CODE0:kernel

	bits 32
kernel:
	mov ax, DATA0
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, STACK0
	mov al, [drive]
	mov [disk], al
	mov byte [gdt + MAIN + 5], 0x89
	mov byte [gdt + DOUBLE + 5], 0x89
	mov byte [gdt + TASK32 + 5], 0x89
	mov byte [gdt + TASK16 + 5], 0x81
	mov edi, IDT
	xor eax, eax
	mov ecx, 0x6800 / 4
	rep stosd
	mov edi, IDT_V86	; each with DPL 0: INT n is a fault with an error code
	mov eax, stubs0
	mov ecx, 256
.gate0:	mov [edi], ax
	mov word [edi + 2], CODE0
	mov word [edi + 4], 0x8e00
	add edi, 8
	add eax, 5
	loop .gate0
	mov edi, IDT		; exceptions: ring 1 takes them
	mov eax, stubs1
	mov ecx, 18
.gate1:	mov [edi], ax
	mov word [edi + 2], CODE1
	mov word [edi + 4], 0xee00
	add edi, 8
	add eax, STUB_BYTES
	loop .gate1
	mov dword [IDT + 8 * 8], DOUBLE << 16
	mov dword [IDT + 8 * 8 + 4], 0x8500
	mov edi, IDT + IRQS * 8
	mov eax, stubs0 + IRQS * 5
	mov ecx, 8
.gate2:	mov [edi], ax
	mov word [edi + 2], CODE0
	mov word [edi + 4], 0x8e00
	add edi, 8
	add eax, 5
	loop .gate2
	mov edi, IDT + 0x31 * 8
	mov eax, host_31
	call host_gate
	mov edi, IDT + 0x21 * 8
	mov eax, host_21
	call host_gate
	mov edi, IDT + 0xfd * 8
	mov eax, host_fd
	call host_gate
	lidt [idtr]

	mov dword [TSS + 4], STACK0
	mov dword [TSS + 8], DATA0
	mov dword [TSS + 12], STACK1
	mov dword [TSS + 16], DATA1
	mov dword [TSS + 96], LDT
	mov word [TSS + 102], MAP
	mov edi, TSS + MAP
	mov al, 0xff
	mov ecx, MAP_BYTES
	rep stosb
	mov byte [TSS + MAP + CONSOLE / 8], ~(1 << (CONSOLE & 7)) & 0xff

	mov edi, TSS_DF
	mov dword [edi + 32], double_fault
	mov dword [edi + 36], 2
	mov dword [edi + 56], STACK_DF
	mov dword [edi + 72], DATA0
	mov dword [edi + 76], CODE0
	mov dword [edi + 80], DATA0
	mov dword [edi + 84], DATA0
	mov edi, TSS_T32	; a task in ring 1
	mov dword [edi + 4], STACK_DF - 512
	mov dword [edi + 8], DATA0
	mov dword [edi + 32], task32
	mov dword [edi + 36], 0x1002
	mov dword [edi + 40], 0x3232
	mov dword [edi + 56], STACK_T
	mov dword [edi + 72], DATA1
	mov dword [edi + 76], CODE1
	mov dword [edi + 80], DATA1
	mov dword [edi + 84], DATA1
	mov dword [edi + 96], LDT
	mov edi, TSS_T16	; a task of the 80286 in ring 3; there is no I/O map in its TSS
	mov word [edi + 14], C(task16)
	mov word [edi + 16], 0x3002
	mov word [edi + 18], 0x1616
	mov word [edi + 26], 0x800
	mov word [edi + 34], DATA3
	mov word [edi + 36], CODE3
	mov word [edi + 38], STACK3S
	mov word [edi + 40], DATA3
	mov word [edi + 42], LDT

	mov ax, LDT
	lldt ax
	mov ax, MAIN
	ltr ax
	mov bl, IRQS
	call move_irqs
	push dword DATA1
	push dword STACK1
	push dword 0x1202	; IOPL 1, IF
	push dword CODE1
	push dword host
	iretd

host_gate:
	mov [edi], ax
	mov word [edi + 2], CODE1
	mov word [edi + 4], 0xef00
	ret

move_irqs:			; BL: first vector; keeps the masks
	in al, 0x21
	mov ah, al
	mov al, 0x11
	out 0x20, al
	mov al, bl
	out 0x21, al
	mov al, 4
	out 0x21, al
	mov al, 1
	out 0x21, al
	mov al, ah
	out 0x21, al
	ret

; The host's call gate: what to do, or the registers of a BIOS call
service:
	cli
	pushad
	push ds
	push es
	mov ax, DATA0
	mov ds, ax
	mov es, ax
	mov esi, [esp + 40 + 8]
	cmp esi, 1
	jb leave_protected_mode
	je .fault
	call bios
.back:	pop es
	pop ds
	popad
	sti
	retf 4
.fault:	mov dword [resume0], .mended	; in ring 0 no gate to ring 1 can be passed: #DE, #GP, #DF
	xor eax, eax
	div al
	say32 "not reached "
.mended:
	say32 "mended "
	jmp .back

double_fault:			; a task of its own
	pop eax
	say32 "double fault "
	call hex32
	movzx eax, word [TSS_DF]
	call hex32
	pushfd
	pop eax
	call hex32
	movzx eax, word [TSS + 76]
	call hex32
	mov eax, [resume0]
	mov [TSS + 32], eax
	iretd
	jmp double_fault

; Calls the BIOS with the registers at ESI: EDI ESI EBP - EBX EDX ECX EAX, ES, number
bios:
	mov edi, block
	mov ecx, BLOCK_BYTES
	push esi
	rep movsb
	push fs
	push gs
	mov [saved], esp
	cmp byte [way], 0
	jne .v86
	mov bl, 8
	call move_irqs
	lidt [idtr_real]
	jmp CODE0_16:.small
	bits 16
.small:	mov ax, DATA0_16
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov eax, cr0
	and al, 0xfe
	mov cr0, eax
	jmp 0:.real
.real:	xor ax, ax
	mov ss, ax
	mov sp, 0x7c00
	call real_call
	cli
	xor ax, ax
	mov ds, ax
	lgdt [gdtr]
	lidt [idtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp CODE0:.protected
	bits 32
.protected:
	mov ax, DATA0
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, [saved]
	mov bl, IRQS
	call move_irqs
	jmp .done
.v86:	lidt [idtr_v86]
	lea eax, [esp - 64]
	mov [TSS + 4], eax
	mov word [TSS + 102], MAP_ALL
	push dword 0		; GS, FS, DS, ES
	push dword 0
	push dword 0
	push dword 0
	push dword 0		; SS:ESP
	push dword 0x7c00
	push dword 0x23002	; VM, IOPL 3
	push dword 0		; CS:EIP
	push dword v86_call
	iretd
.v86_done:
	mov esp, [saved]
	mov dword [TSS + 4], STACK0
	mov word [TSS + 102], MAP
	lidt [idtr]
.done:	pop gs
	pop fs
	pop edi
	mov esi, block
	mov ecx, BLOCK_BYTES
	rep movsb
	ret

stubs0:
%rep 256
	call strict near trapped0
%endrep
; From V86 mode: #GP of an INT n or HLT, or an interrupt of the timer. From elsewhere: an interrupt for the BIOS.
trapped0:
	sub dword [esp], stubs0 + 5
	push eax
	push edx
	mov eax, [esp + 8]
	xor edx, edx
	push ecx
	mov ecx, 5
	div ecx
	pop ecx
	pop edx
	mov [ss:vector], eax
	pop eax
	add esp, 4
	cmp dword [ss:vector], 13
	je .fault
	push dword 0
.fault:	pushad
	push ds
	push es
	mov ax, DATA0
	mov ds, ax
	mov es, ax
	mov eax, [vector]
%define F(n) (40 + (n) * 4)	; error code, EIP, CS, EFLAGS, ESP, SS
	test dword [esp + F(3)], 0x20000
	jz .interrupt
	cmp eax, 13
	jne .irq
	mov eax, [esp + F(0)]
	test eax, eax
	jz .hlt
	add dword [esp + F(1)], 2
	shr eax, 3
	cmp eax, 0xfe
	je bios.v86_done
	jmp .reflect
.irq:	sub eax, IRQS - 8
.reflect:
	sub word [esp + F(4)], 6
	movzx edi, word [esp + F(5)]
	shl edi, 4
	movzx ebx, word [esp + F(4)]
	add edi, ebx
	mov ebx, [esp + F(1)]
	mov [edi], bx
	mov ebx, [esp + F(2)]
	mov [edi + 2], bx
	mov ebx, [esp + F(3)]
	mov [edi + 4], bx
	and dword [esp + F(3)], ~0x300
	movzx ebx, word [eax * 4]
	mov [esp + F(1)], ebx
	movzx ebx, word [eax * 4 + 2]
	mov [esp + F(2)], ebx
	jmp .return
.hlt:	inc dword [esp + F(1)]
	jmp .return
.interrupt:
	sub eax, IRQS - 8
	mov [irq_block + 34], ax
	mov esi, irq_block
	call bios
	inc dword [irqs]
.return:
	pop es
	pop ds
	popad
	add esp, 4
	iretd

leave_protected_mode:
	mov bl, 8
	call move_irqs
	lidt [idtr_real]
	jmp CODE0_16:.small
	bits 16
.small:	mov ax, DATA0_16
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	mov ss, ax
	mov eax, cr0
	and al, 0xfe
	mov cr0, eax
	jmp 0:.real
.real:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	sti
	cmp dword [irqs], 3
	jb .bad
	mov dword [irqs], 0
	say "back in real mode"
	inc byte [way]
	cmp byte [way], 2
	jb again
	say "OK"
	jmp passed
.bad:	say "no interrupts"
	jmp failed

v86_call:
	call real_call
	int 0xfe

real_call:			; in real and V86 mode: registers from the block, INT, and back
	xor ax, ax
	mov ds, ax
	mov al, [block + 34]
	mov [.int + 1], al
	mov es, [block + 32]
	mov edi, [block]
	mov esi, [block + 4]
	mov ebp, [block + 8]
	mov ebx, [block + 16]
	mov edx, [block + 20]
	mov ecx, [block + 24]
	mov eax, [block + 28]
	jmp .int
.int:	int 0
	push ds
	push word 0
	pop ds
	mov [block], edi
	mov [block + 4], esi
	mov [block + 8], ebp
	mov [block + 16], ebx
	mov [block + 20], edx
	mov [block + 24], ecx
	mov [block + 28], eax
	pushf
	pop word [block + 36]
	pop ds
	ret

%include "dpmi-host.inc"
%include "dpmi-client.inc"

BLOCK_BYTES equ 38
way:	db 0
flag:	db 0
next_free: dw 0
saved:	dd 0
vector:	dd 0
resume0: dd 0
host_resume: dd 0
irqs:	dd 0
handlers: times 32 dw 0
block:	times 40 db 0
irq_block: times 40 db 0
host_block: times 40 db 0
	align 8
gdt:	dq 0
	desc 0, 0, 0xfffff, 0x9b, 0xc0
	desc 0, 0, 0xfffff, 0x93, 0xc0
	desc TSS & 0xffff, TSS >> 16, MAP + MAP_BYTES - 1, 0x89, 0
	desc 0, 0, 0xffff, 0x9b, 0
	desc 0, 0, 0xffff, 0x93, 0
	desc 0, 0, 0xfffff, 0xbb, 0xc0
	desc 0, 0, 0xfffff, 0xb3, 0xc0
	desc ldt, 0, LDT_END - 1, 0x82, 0
	desc TSS_DF & 0xffff, TSS_DF >> 16, 103, 0x89, 0
	desc TSS_T32 & 0xffff, TSS_T32 >> 16, 103, 0x89, 0
	desc TSS_T16 & 0xffff, TSS_T16 >> 16, 43, 0x81, 0
	gate CODE1, host_three, 3, 0xec
	gate CODE1, host_many, 31, 0xec
	desc 0, 0, 0xffff, 0xbb, 0
	gate CODE0, service, 1, 0xac
	gate CODE1, host_three, 3, 0x6c
	desc client_base, 0, 0xfff, 0x9f, 0
	gate DATA1, host_three, 3, 0xec
	gate CODE3, C(same), 0, 0xe4
gdtr:	dw GDT_END - 1
	dd gdt
idtr:	dw 256 * 8 - 1
	dd IDT
idtr_v86: dw 256 * 8 - 1
	dd IDT_V86
idtr_real: dw 0x3ff
	dd 0
	align 8
ldt:	desc client_base, 0, 0xfff, 0xfb, 0
	desc client_base, 0, 0xfff, 0xf3, 0
	desc STACK3 & 0xffff, STACK3 >> 16, 0xfff, 0xf3, 0
	desc 0x400, 0, 0xff, 0xf1, 0
	desc 0, 0, 0xffff, 0x73, 0
	desc client_base, 0, 0xfff, 0xfb, 0x40
	gate CODE1_16, host_small, 2, 0xe4
	desc STACK3 & 0xffff, STACK3 >> 16, 0xfff, 0xf7, 0x40
	gate TASK32, 0, 0, 0xe5
	gate TASK16, 0, 0, 0xe5
	times LDT_END - ($ - ldt) db 0
	times 512 * (SECTORS + 1) - ($ - $$) db 0
