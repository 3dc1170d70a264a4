; v86.asm - a monitor for one virtual-8086 machine with paging, as EMM386 is one: its program calls the BIOS for the screen and the disk,
; takes timer interrupts, and reads into a page that lies elsewhere in memory. INT n and HLT trap and are reflected.
%include "boot.inc"

TABLES  equ 0x20000
STACK0  equ 0x1f000
BUFFER  equ 0x19000		; linear; mapped to REAL
REAL    equ 0x1b000
%define FLAT 0x10

; The frame that an interrupt from V86 mode makes, above the number and the registers that PUSHAD saves
F_NUMBER equ 32
F_ERROR equ 36
F_IP    equ 40
F_CS    equ 44
F_FLAGS equ 48
F_SP    equ 52
F_SS    equ 56

main:
	cli
	in al, 0x21
	or al, 0xf8		; their vectors are exceptions with error codes
	and al, 0xfa		; timer and cascade
	out 0x21, al
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp 0x08:monitor

	bits 32
monitor:
	mov ax, FLAT
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, STACK0
	mov edi, TABLES		; 4 MiB, identical but for one page
	mov dword [edi], TABLES + 0x1000 + 7
	mov ecx, 1024
	mov eax, 7
	add edi, 0x1000
.map:	mov [edi], eax
	add edi, 4
	add eax, 0x1000
	loop .map
	mov dword [TABLES + 0x1000 + (BUFFER >> 12) * 4], REAL + 7
	mov eax, TABLES
	mov cr3, eax
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax
	mov edi, idt		; every gate with DPL 0
	mov eax, stubs
	mov ecx, 256
.gate:	mov [edi], ax
	mov word [edi + 2], 0x08
	mov word [edi + 4], 0x8e00
	mov word [edi + 6], 0
	add edi, 8
	add eax, STUB_BYTES
	loop .gate
	lidt [idtr]
	mov edi, tss
	xor eax, eax
	mov ecx, 8400 / 4
	rep stosd
	mov byte [tss + 104 + 8192], 0xff
	mov dword [tss + 4], STACK0
	mov dword [tss + 8], FLAT
	mov word [tss + 102], 104	; the I/O map: everything is allowed
	mov ax, 0x18
	ltr ax
	xor eax, eax
	push eax		; GS, FS, DS, ES
	push eax
	push eax
	push eax
	push eax		; SS:ESP
	push dword 0x7c00
	push dword 0x23202	; VM, IOPL 3, IF
	push eax		; CS:EIP
	push dword program
	iretd

STUB_BYTES equ 12
stubs:
%assign n 0
%rep 256
%if n != 13 && n != 14
	push byte 0		; in place of an error code
%else
	nop
	nop
%endif
	push strict dword n
	jmp near trapped
%assign n n + 1
%endrep

trapped:
	pushad
	mov ax, FLAT
	mov ds, ax
	mov eax, [esp + F_NUMBER]
	test dword [esp + F_FLAGS], 0x20000
	jz bad			; the monitor itself
	cmp eax, 14
	je bad
	cmp eax, 13
	jne .reflect
	mov eax, [esp + F_ERROR]
	test eax, eax
	jz .instruction
	add dword [esp + F_IP], 2	; INT n
	shr eax, 3
	cmp eax, 0xfe
	je finish
.reflect:			; EAX: the vector
	sub word [esp + F_SP], 6
	movzx edi, word [esp + F_SS]
	shl edi, 4
	movzx ebx, word [esp + F_SP]
	add edi, ebx
	mov ebx, [esp + F_IP]
	mov [edi], bx
	mov ebx, [esp + F_CS]
	mov [edi + 2], bx
	mov ebx, [esp + F_FLAGS]
	mov [edi + 4], bx
	and dword [esp + F_FLAGS], ~0x300
	movzx ebx, word [eax * 4]
	mov [esp + F_IP], ebx
	movzx ebx, word [eax * 4 + 2]
	mov [esp + F_CS], ebx
.return:
	popad
	add esp, 8
	iretd
.instruction:
	movzx edi, word [esp + F_CS]
	shl edi, 4
	add edi, [esp + F_IP]
	cmp byte [edi], 0xf4	; HLT: goes on at once
	jne bad
	inc dword [esp + F_IP]
	jmp .return

bad:	mov esi, bad_text
	mov ax, 2
	jmp out_of_it
finish:	mov esi, fine_text
	mov ax, 2
	cmp dword [REAL + 508], 0xaa550000	; what the BIOS read through linear addresses
	jne out_of_it
	cmp word [BUFFER + 510], 0xaa55
	jne out_of_it
	mov ax, 1
out_of_it:
	mov ebx, eax
.next:	lodsb
	test al, al
	jz .done
	out CONSOLE, al
	jmp .next
.done:	mov eax, ebx
	mov dx, EXIT
	out dx, ax
	jmp $

	bits 16
program:			; in V86 mode
	xor ax, ax
	mov ds, ax
	mov es, ax
	pushf
	pop ax
	test ax, 0x200
	jz .bad
	smsw ax
	test al, 1
	jz .bad
	say "in V86 mode"
	mov ah, 3
	mov bh, 0
	int 0x10
	mov [cursor], dx
	mov ax, 0x0e00 + 'V'
	mov bx, 7
	int 0x10
	mov ah, 3
	mov bh, 0
	int 0x10
	sub dx, [cursor]
	cmp dx, 1
	jne .bad
	mov ax, 0xb800		; and there it stands
	mov es, ax
	movzx ax, byte [cursor + 1]
	imul di, ax, 160
	movzx ax, byte [cursor]
	add di, ax
	add di, ax
	cmp byte [es:di], 'V'
	jne .bad
	say "the screen answers"
	mov ax, BUFFER >> 4
	mov es, ax
	xor bx, bx
	mov ax, 0x0201
	mov cx, 1
	mov dh, 0
	mov dl, [drive]
	int 0x13
	jc .bad
	say "the disk answers"
	mov ah, 0
	int 0x1a
	mov bx, dx
.tick:	mov ah, 0
	int 0x1a
	sub dx, bx
	cmp dx, 3
	jb .tick
	say "the timer ticks"
	int 0xfe
.bad:	say "wrong answer"
	mov ax, 2
	mov dx, EXIT
	out dx, ax
	jmp $

bad_text: db "unexpected trap", 10, 0
fine_text: db "OK", 10, 0
cursor:	dw 0
	align 8
gdt:	dq 0
	dw 0xffff, 0x0000, 0x9b00, 0x00cf
	dw 0xffff, 0x0000, 0x9300, 0x00cf
	dw 8400, tss, 0x8900, 0
gdtr:	dw $ - gdt - 1
	dd gdt
idtr:	dw 256 * 8 - 1
	dd idt
	times 512 * (SECTORS + 1) - ($ - $$) db 0
idt     equ 0x10000
tss     equ 0xc000		; its I/O map ends at E0C8h
