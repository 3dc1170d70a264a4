; keys.asm - a boot sector that keeps each key in memory and in sector 2 of its disk, for run-machines.py. '/' prints both: <memory|disk>
	org	0x7c00
	bits	16
MEMORY	equ	0x8000
DISK	equ	0x8400
	jmp	0:start
start:	xor	ax, ax
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	sp, 0x7c00
	mov	[drive], dl
	mov	di, MEMORY
	mov	cx, 0x400
	cld
	rep	stosw
	mov	si, ready
	call	print
key:	mov	ah, 0
	int	0x16
	cmp	al, '/'
	je	show
	mov	bx, [count]
	mov	[MEMORY + bx], al
	inc	word [count]
	call	put
	mov	ax, 0x0301
	mov	bx, MEMORY
	call	disk
	jmp	key
show:	mov	ax, 0x0201
	mov	bx, DISK
	call	disk
	mov	si, open
	call	print
	mov	si, MEMORY
	call	print
	mov	al, '|'
	call	put
	mov	si, DISK
	call	print
	mov	si, close
	call	print
	jmp	key
disk:	mov	cx, 2
	mov	dh, 0
	mov	dl, [drive]
	int	0x13
	jnc	done
	mov	al, '!'
put:	mov	ah, 0x0e
	mov	bx, 7
	int	0x10
done:	ret
print:	lodsb
	test	al, al
	jz	done
	call	put
	jmp	print
ready	db	'ready', 13, 10, 0
open	db	13, 10, '<', 0
close	db	'>', 13, 10, 0
drive	db	0
count	dw	0
	times	510 - ($ - $$) db 0
	dw	0xaa55
