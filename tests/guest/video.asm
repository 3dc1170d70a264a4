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

table	dw scroll, text, text40, mode13, modex, mode12, cga, banked, fill, store, text132, planes, split, smooth

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

text132:			; 132 columns: blocks, cell n with attribute n mod 15 + 1
	mov ax, 0x03
	int 0x10
	mov si, wide
	call set_crtc
	mov dx, 0x3c4
	mov ax, 0x0101		; eight dots a character
	out dx, ax
	mov cx, 132 * 25
blocks:	mov ax, 0xb800		; CX cells
	mov es, ax
	xor di, di
	mov ax, 0x01db
.next:	stosw
	inc ah
	and ah, 15
	jnz .more
	inc ah
.more:	loop .next
	jmp done

smooth:				; the blocks from the second row's third on, five lines up and four dots left
	mov ax, 0x03
	int 0x10
	mov si, moved
	call set_crtc
	mov ax, 0x0333		; panning: 3 is four dots where there are nine, 8 is none
	call set_attribute
	mov cx, 80 * 28
	jmp blocks

split:				; each byte: four dots of the address' low nibble, four of the next; two parts of the screen, the upper moved
	mov ax, 0x12
	int 0x10
	mov ax, 0xa000
	mov es, ax
	mov dx, 0x3ce
	mov ax, 0x0205		; write mode 2
	out dx, ax
	xor di, di
.byte:	mov ax, 0xf008
	out dx, ax
	mov al, [es:di]
	mov ax, di
	mov [es:di], al
	mov ax, 0x0f08
	out dx, ax
	mov al, [es:di]
	mov ax, di
	shr ax, 4
	mov [es:di], al
	inc di
	jnz .byte
	mov si, halves
	call set_crtc
	mov ax, 0x0533		; panning
	call set_attribute
	mov ax, 0x2130		; but not below the split
	cmp word [count], 1
	je .mode
	mov ah, 0x01
.mode:	call set_attribute
	jmp done

set_crtc:			; pairs of index and value at SI up to FFh
	mov dx, 0x3d4
	mov ax, 0x0e11		; no protection
	out dx, ax
.next:	lodsb
	cmp al, 0xff
	je .done
	mov ah, [si]
	inc si
	out dx, ax
	jmp .next
.done:	ret
set_attribute:			; AL: index, AH: value
	push ax
	mov dx, 0x3da
	in al, dx
	pop ax
	mov dx, 0x3c0
	out dx, al
	mov al, ah
	out dx, al
	ret

wide	db 0x00, 0x9f, 0x01, 0x83, 0x02, 0x84, 0x03, 0x82, 0x04, 0x8a, 0x05, 0x9e, 0x13, 0x42, 0xff
moved	db 0x0c, 0x00, 0x0d, 82, 0x08, 0x05, 0xff
halves	db 0x13, 50, 0x0c, 0x12, 0x0d, 0x34, 0x18, 299 & 0xff, 0x07, 0x3e, 0x09, 0x00, 0xff

; Bands of 16 lines, each by another way of writing; AL is set to the column's number (0 to 79) before each store
%macro graphics 2		; index, value
	mov ax, (%2) << 8 | (%1)
	out dx, ax
%endmacro
%macro band 1			; number; begins a loop over its bytes
	mov di, (%1) * 16 * 80
	mov cx, 16 * 80
%endmacro
planes:	mov ax, 0x12
	int 0x10
	mov ax, 0xa000
	mov es, ax
	mov dx, 0x3ce
	graphics 1, 0x0f	; 0: set/reset of the column's colour where the bit mask allows
	graphics 8, 0xaa
	band 0
.0:	call column
	mov ah, al
	mov al, 0
	out dx, ax
	mov [es:di], al
	inc di
	loop .0
	graphics 1, 0
	graphics 8, 0xff
	band 1			; 1: map mask of the column's colour
.1:	call column
	mov ah, al
	mov al, 2
	mov dl, 0xc4
	out dx, ax
	mov dl, 0xce
	mov byte [es:di], 0xf0
	inc di
	loop .1
	mov dl, 0xc4
	graphics 2, 0x0f
	mov dl, 0xce
	graphics 3, 3		; 2: rotated by three
	band 2
	mov al, 0x81
	rep stosb
	mov si, logic		; 3 to 5: XOR, AND, OR with what the latches hold
.3:	graphics 3, 0
	graphics 1, 0x0f
	graphics 8, 0xff
	mov di, [si]
	mov ah, [si + 2]
	mov al, 0
	out dx, ax
	mov cx, 16 * 80
	push di
	rep stosb
	pop di
	mov ah, [si + 3]
	mov al, 0
	out dx, ax
	mov ah, [si + 4]
	mov al, 8
	out dx, ax
	mov ah, [si + 5]
	mov al, 3
	out dx, ax
	mov cx, 16 * 80
.latch:	mov al, [es:di]
	stosb
	loop .latch
	add si, 6
	cmp si, logic_end
	jb .3
	graphics 3, 0
	graphics 1, 0
	graphics 8, 0xff
	graphics 5, 1		; 6: mode 1, a copy of band 1
	push ds
	push es
	pop ds
	band 6
	mov si, 16 * 80
	rep movsb
	pop ds
	graphics 5, 2		; 7: mode 2
	graphics 8, 0x66
	band 7
.7:	mov al, [es:di]
	call column
	stosb
	loop .7
	graphics 8, 0xff	; 8: mode 3 over colour 2
	band 8
	mov al, 2
	rep stosb
	graphics 5, 3
	graphics 0, 12
	graphics 8, 0xfc
	band 8
.8:	mov al, [es:di]
	mov al, 0x3f
	stosb
	loop .8
	graphics 8, 0xff	; 9: mode 3, rotated by four, over what was latched last, colour 2
	graphics 3, 4
	band 9
	mov al, 0x0f
	rep stosb
	graphics 3, 0
	graphics 0, 0
	mov bx, 0x0f09		; 10: where band 1 is of colour 9; 11: of colour 1 or 9
	mov di, 10 * 16 * 80
	call compared
	mov bx, 0x0701
	call compared
	jmp done

column:				; AL: the colour of DI's column
	push dx
	push bx
	mov ax, di
	xor dx, dx
	mov bx, 80
	div bx
	mov ax, dx
	and al, 15
	pop bx
	pop dx
	ret
compared:			; BL: colour, BH: which planes count
	mov ah, bl
	mov al, 2
	out dx, ax
	mov ah, bh
	mov al, 7
	out dx, ax
	graphics 5, 8
	mov si, 16 * 80
	mov cx, 16 * 80
.next:	es lodsb
	stosb
	loop .next
	ret
logic	dw 3 * 16 * 80		; where, colour below, colour, bit mask, function
	db 5, 3, 0x3c, 0x18
	dw 4 * 16 * 80
	db 14, 7, 0x0f, 0x08
	dw 5 * 16 * 80
	db 1, 8, 0xf0, 0x10
logic_end:

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
