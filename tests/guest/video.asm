; video.asm - a disk image that draws through SeaBIOS's VGA BIOS, for tests/boot/run-video.py and tests/bench/video.py.
;
; Byte 3 of the image says what is drawn (the order of `table`), the word at 4 how often. Then a byte 'D' goes to port E9h and another to
; port 501h, which ends the run where there is an exit device; else the picture stays.

	bits 16
	org 0x7c00
	jmp start
	times 3 - ($ - $$) nop
what	db 0
count	dw 1

%define DONE_PORT 0x501
%define SECTORS 8
%define LINEAR_MODE 0x4144	; 1024x768, 32 bits, in SeaVGABIOS; bit 14: linear frame buffer
%define BANKED_MODE 0x105	; 1024x768, 8 bits
%define MODE_INFO 0x6000

start:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	cld
	mov ax, 0x0200 + SECTORS
	mov bx, 0x7e00
	mov cx, 0x0002
	mov dh, 0
	int 0x13
	jc fail
	movzx bx, [what]
	shl bx, 1
	jmp [table + bx]
fail:	mov al, 'F'
	jmp say
done:	mov al, 'D'
say:	out 0xe9, al
	mov dx, DONE_PORT
	out dx, al
stay:	hlt
	jmp stay

	times 510 - ($ - $$) db 0
	dw 0xaa55

table	dw scroll, text, text40, mode13, modex, mode12, cga, banked, fill, store

scroll:				; lines of 60 characters by teletype
	mov cx, [count]
.line:	push cx
	mov ax, cx
	mov cx, 60
.char:	push cx
	add al, 7
	and al, 0x3f
	add al, 0x21
	push ax
	mov ah, 0x0e
	mov bx, 7
	int 0x10
	pop ax
	pop cx
	loop .char
	mov ax, 0x0e0d
	int 0x10
	mov ax, 0x0e0a
	int 0x10
	pop cx
	loop .line
	jmp done

text:				; all characters, each with its own code as attribute
	mov ax, 0x03
	jmp characters
text40:	mov ax, 0x01
characters:
	int 0x10
	mov ax, 0xb800
	mov es, ax
	xor ax, ax
	xor di, di
	mov cx, 256
.next:	mov ah, al
	stosw
	inc al
	loop .next
	jmp done

mode13:				; pixel (x, y) is x + y
	mov ax, 0x13
	int 0x10
	mov ax, 0xa000
	mov es, ax
.again:	xor di, di
	xor dx, dx
.line:	mov al, dl
	mov cx, 320
.pixel:	stosb
	inc al
	loop .pixel
	inc dx
	cmp dx, 200
	jb .line
	dec word [count]
	jnz .again
	jmp done

modex:				; the same, unchained, plane by plane
	mov ax, 0x13
	int 0x10
	mov dx, 0x3c4
	mov ax, 0x0604		; no chain 4
	out dx, ax
	mov dx, 0x3d4
	mov ax, 0x0014		; byte addresses
	out dx, ax
	mov ax, 0xe317
	out dx, ax
	mov ax, 0xa000
	mov es, ax
	xor bx, bx
.plane:	mov cl, bl
	mov ax, 0x0102		; map mask
	shl ah, cl
	mov dx, 0x3c4
	out dx, ax
	xor di, di
	xor dx, dx
.line:	mov al, dl
	add al, bl
	mov cx, 80
.pixel:	stosb
	add al, 4
	loop .pixel
	inc dx
	cmp dx, 200
	jb .line
	inc bx
	cmp bx, 4
	jb .plane
	jmp done

mode12:				; pixel (x, y) of every third line and column is (x + y) / 8
	mov ax, 0x12
	mov si, 3
	mov di, 640
	mov bp, 480
	mov cl, 3
	jmp pixels
cga:				; and (x + y) / 16
	mov ax, 0x04
	mov si, 1
	mov di, 320
	mov bp, 200
	mov cl, 4
pixels:	mov [shift], cl
	int 0x10
	xor dx, dx
.line:	xor cx, cx
.pixel:	mov ax, cx
	add ax, dx
	push cx
	mov cl, [shift]
	shr ax, cl
	pop cx
	and al, 15
	mov ah, 0x0c
	mov bh, 0
	int 0x10
	add cx, si
	cmp cx, di
	jb .pixel
	add dx, si
	cmp dx, bp
	jb .line
	jmp done
shift	db 0

banked:				; each 64 lines are one bank, of colour bank + count
	mov ax, 0x4f02
	mov bx, BANKED_MODE
	int 0x10
	cmp ax, 0x4f
	jne fail
	mov ax, 0xa000
	mov es, ax
.again:	xor dx, dx
.bank:	push dx
	mov ax, 0x4f05
	xor bx, bx
	int 0x10
	pop dx
	xor di, di
	mov cx, 0x4000
	movzx eax, dl
	add al, [count]
	imul eax, eax, 0x01010101
	rep stosd
	inc dx
	cmp dx, 12
	jb .bank
	dec word [count]
	jnz .again
	jmp done

store:				; frames pixel by pixel: frame number + 010203h * pixel
	mov byte [by_pixel], 1
fill:				; frames by REP STOSD, of colour 010203h * frame number
	mov ax, 0x4f02
	mov bx, LINEAR_MODE
	int 0x10
	cmp ax, 0x4f
	jne fail
	mov ax, 0x4f01
	mov cx, LINEAR_MODE
	mov di, MODE_INFO
	int 0x10
	cli
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp 8:flat
	bits 32
flat:	mov ax, 16
	mov ds, ax
	mov es, ax
	mov ss, ax
	movzx ebx, word [count]
.frame:	mov edi, [MODE_INFO + 0x28]
	mov ecx, 1024 * 768
	cmp byte [by_pixel], 0
	jne .store
	imul eax, ebx, 0x010203
	rep stosd
	jmp .next
.store:	mov eax, ebx
.pixel:	mov [edi], eax
	add eax, 0x010203
	add edi, 4
	dec ecx
	jnz .pixel
.next:	dec ebx
	jnz .frame
	mov al, 'D'
	out 0xe9, al
	mov dx, DONE_PORT
	out dx, al
.stay:	jmp .stay		; HLT without interrupts is the end of the machine

by_pixel db 0
	align 8
gdt	dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr	dw gdtr - gdt - 1
	dd gdt

	times 512 * (SECTORS + 1) - ($ - $$) db 0
	times 0x100000 - ($ - $$) db 0
