; disk.asm - a boot sector that reads and writes its disk through the BIOS, for run-disk.py.
;
; Sector n of the disk begins with the doubleword n, but for this one. Byte `mode` (offset 504) says what is expected: 0: the disk can be
; written, 1: it refuses. Ends through the exit port: 16 when all is well, else the number of the step that was not.
	org	0x7c00
	bits	16
PORT	equ	0x501
BUF	equ	0x1000			; segment
COUNT	equ	100			; sectors at once
THERE	equ	140000			; what is written, from here on

	jmp	0:start
start:	xor	ax, ax
	mov	ds, ax
	mov	ss, ax
	mov	sp, 0x7c00
	mov	[drive], dl

	mov	bl, 1			; 1: extended read (LBA)
	mov	ah, 0x42
	call	packet
	jc	fail
	mov	bl, 2			; 2: what was read
	mov	edx, [lba]
	call	compare

	mov	bl, 3			; 3: geometry
	push	bx
	mov	ah, 0x08
	mov	dl, [drive]
	xor	di, di
	mov	es, di
	int	0x13
	pop	bx
	jc	fail
	and	cl, 0x3f
	mov	[sectors], cl
	inc	dh
	mov	[heads], dh

	mov	bl, 4			; 4: cylinder 1, head 1, sector 3
	mov	ax, BUF
	mov	es, ax
	push	bx
	xor	bx, bx
	mov	ax, 0x0201
	mov	cx, 0x0103
	mov	dh, 1
	mov	dl, [drive]
	int	0x13
	pop	bx
	jc	fail
	mov	bl, 5			; 5: the right one
	movzx	eax, byte [heads]
	inc	ax
	movzx	ecx, byte [sectors]
	mul	ecx
	add	eax, 2
	mov	edx, eax
	mov	word [count], 1
	call	compare

	mov	bl, 6			; 6: write, or a refusal
	mov	ax, BUF
	mov	es, ax
	xor	di, di
	mov	cx, COUNT * 256
	mov	ax, 0x5a5a
	cld
	rep	stosw
	mov	dword [lba], THERE
	mov	word [count], COUNT
	mov	ax, 0x4300
	call	packet
	sbb	al, al			; FFh: refused
	neg	al
	cmp	al, [mode]
	jne	fail
	mov	bl, 7			; 7: read it back
	mov	word [count], COUNT	; a failed call has put the number of sectors done here
	mov	ah, 0x42
	call	packet
	jc	fail
	mov	eax, 0x5a5a5a5a
	cmp	byte [mode], 0
	je	same
	mov	eax, THERE
same:	cmp	eax, [es:0]
	jne	fail
	mov	bl, 16
fail:	mov	al, bl
	mov	dx, PORT
	out	dx, al
	cli
	hlt

packet:	mov	si, dap
	mov	dl, [drive]
	push	bx
	int	0x13
	pop	bx
	ret

; [count] sectors at BUF:0 are those from EDX on
compare:
	mov	cx, [count]
	mov	ax, BUF
next:	mov	es, ax
	cmp	[es:0], edx
	jne	fail
	add	ax, 0x20
	inc	edx
	loop	next
	ret

drive	db	0
heads	db	0
sectors	db	0
dap:	db	16, 0
count	dw	COUNT
	dw	0, BUF
lba	dd	1000, 0

	times 504 - ($ - $$) db 0
mode	db	0
	times 510 - ($ - $$) db 0
	dw	0xaa55
