; watch.asm - data breakpoints by debug registers: traps behind the instruction that touches the bytes.
%include "lib.inc"

main:
	mov eax, watched
	mov dr0, eax
	mov eax, 0x000d0001 | 0x400	; DR0: write, 4 bytes, local
	mov dr7, eax
	xor eax, eax
	mov dr6, eax
	ARM .data_hit
	mov eax, [watched]
	mov dword [other], 1
	mov dword [watched], 5
.after:	nop
.data_hit:
	SAME "data breakpoint (eip)", [seen_eip], .after
	EQUAL "data breakpoint", [seen_vector], 1
	mov eax, dr6
	and eax, 15
	EQUAL "dr6 says dr0", eax, 1
	mov eax, 0x000f0001 | 0x400	; read or write
	mov dr7, eax
	ARM .data_read
	mov al, [watched + 3]
.after_read: nop
.data_read:
	SAME "read breakpoint (eip)", [seen_eip], .after_read
	EQUAL "read breakpoint", [seen_vector], 1
	; not hit: beside it, and through another register's range
	ARM .quiet
	mov dword [other], 2
	mov eax, [watched + 4]
.quiet:	EQUAL "the bytes beside it are free", [seen_vector], -1
	; an access that only overlaps the watched bytes
	mov eax, 0x00010001 | 0x400	; write, 1 byte
	mov dr7, eax
	ARM .overlap
	mov dword [watched - 3], 0
.after_overlap: nop
.overlap:
	SAME "overlapping write (eip)", [seen_eip], .after_overlap
	EQUAL "overlapping write", [seen_vector], 1
	mov eax, 0x400
	mov dr7, eax
	RUNS "disabled", mov dword [watched], 0
	ret

	align 16
	dd 0
watched:	dd 0
other:		dd 0
END_OF_PROGRAM
