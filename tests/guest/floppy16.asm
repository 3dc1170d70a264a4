; floppy16.asm - a boot floppy that formats, writes and reads its cylinder 20 through int 13h, and says to port E9h what it saw.
	org 0x7c00
	bits 16
start:
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	mov [drive], dl
	mov di, 0x8000		; the ID fields of track 20, head 1
	mov cx, 1
.ids:	mov byte [di], 20
	mov byte [di + 1], 1
	mov [di + 2], cl
	mov byte [di + 3], 2
	add di, 4
	inc cx
	cmp cx, 18
	jbe .ids
	mov bx, 0x8000
	mov ax, 0x0512		; format
	mov cx, 0x1401
	mov dh, 1
	mov si, 'F'
	call disk
	mov di, 0x8000
	mov cx, 256
	mov ax, 0x1234
.fill:	stosw
	add ax, 0x0507
	loop .fill
	mov ax, 0x0301		; write sector 5
	mov cx, 0x1405
	mov si, 'W'
	call disk
	mov bx, 0x9000
	mov ax, 0x0202		; read back 4 and 5: the filler, and what was written
	mov cx, 0x1404
	mov si, 'R'
	call disk
	mov si, 0x8000
	mov di, 0x9200
	mov cx, 256
	repe cmpsw
	mov al, 'C'
	jne fail
	mov al, [0x9000]
	cmp al, 0xf6
	mov al, 'f'
	jne fail

	mov al, 'o'
	out 0xe9, al
	mov al, 'k'
fail:	out 0xe9, al
	xor al, al
	out 0xf4, al
.stop:	jmp .stop

; int 13h for the drive that we come from; si: what to say when it fails
disk:	mov dl, [drive]
	int 0x13
	mov ax, si
	jc fail
	ret
drive:	db 0
	times 510 - ($ - $$) db 0
	dw 0xaa55
