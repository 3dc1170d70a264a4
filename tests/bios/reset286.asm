; reset286.asm - as programs for the 80286 did: into protected mode with LMSW, and back only by a reset of the processor, with word
; for the BIOS in the CMOS memory (status 0Ah: jump to what stands at 40:67). By the keyboard controller, by port 92h, by a
; triple fault. Memory and chips must survive.
%include "boot.inc"

main:
	mov byte [way], 0
again:
	mov word [0x467], resumed
	mov word [0x469], 0
	cli
	mov al, 0x8f
	out 0x70, al
	mov al, 0x0a
	out 0x71, al
	lgdt [gdtr]
	smsw ax
	or al, 1
	lmsw ax
	jmp 0x08:protected
protected:
	mov ax, 0x10
	mov es, ax
	mov ax, 0x18
	mov ss, ax
	mov ds, ax
	mov al, [way]
	mov ah, 0x5a
	mov [es:0x10], ax		; at 1 MiB
	cmp byte [way], 1
	jb keyboard
	je port92
	lidt [nothing]			; triple fault
	int3
keyboard:
	mov al, 0xfe
	out 0x64, al
	jmp $
port92:
	in al, 0x92
	and al, 0xfe
	out 0x92, al
	or al, 1
	out 0x92, al
	jmp $

resumed:
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	smsw ax
	test al, 1
	jnz .bad
	mov word [0x9000], 0
	mov si, move			; INT 15h, 87h: copy from extended memory
	mov cx, 8
	mov ah, 0x87
	int 0x15
	jc .bad
	mov al, [way]
	mov ah, 0x5a
	cmp [0x9000], ax
	jne .bad
	sti
	mov ah, 2			; the disk still answers
	mov al, 1
	mov bx, 0x9200
	mov cx, 1
	mov dh, 0
	mov dl, [drive]
	int 0x13
	jc .bad
	cmp word [0x93fe], 0xaa55
	jne .bad
	say "back in real mode"
	inc byte [way]
	cmp byte [way], 3
	jb again
	say "OK"
	jmp passed
.bad:	say "not as it was"
	jmp failed

way:	db 0
	align 8
gdt:	dq 0
	dw 0xffff, 0x0000, 0x9b00, 0	; code, base 0
	dw 0xffff, 0x0000, 0x9310, 0	; data, base 1 MiB
	dw 0xffff, 0x0000, 0x9300, 0	; data, base 0
gdtr:	dw $ - gdt - 1
	dd gdt
nothing: dw 0
	dd 0
move:	times 16 db 0
	dw 0xffff, 0x0010, 0x9310, 0	; from 100010h
	dw 0xffff, 0x9000, 0x9300, 0	; to 9000h
	times 16 db 0
	times 512 * (SECTORS + 1) - ($ - $$) db 0
