; vector.asm - FPU images and what XSAVE and XRSTOR refuse; gathers and masked moves that fault in the middle; FPU operands in a
; segment whose every access is checked in C.
%include "lib.inc"

SEL_SMALL equ SEL_FREE		; data at `area`, limit 0xff
SEL_DOWN  equ SEL_FREE + 8	; expand-down, valid above 0xfff
FILL      equ 0xa5a5a5a5
OSFXSR    equ 3 << 9
OSXSAVE   equ 1 << 18

fill_area:
	pushad
	mov edi, area
	mov ecx, 1024 / 4
	mov eax, FILL
	rep stosd
	popad
	ret

main:
	SETDESC SEL_SMALL, area, 0xff, 0x93, 0x40
	SETDESC SEL_DOWN, 0, 0xfff, 0x97, 0x40
	mov eax, cr4
	or eax, OSFXSR
	mov cr4, eax
	fninit

	; no address of the host in FIP and FDP
	call fill_area
	fld dword [one]
	fnstenv [area]
	EQUAL "fnstenv fip", [area + 12], 0
	EQUAL "fnstenv fdp", [area + 20], 0
	SAME "fnstenv end", [area + 28], FILL
	call fill_area
	fxsave [area]
	EQUAL "fxsave fip", [area + 8], 0
	EQUAL "fxsave fdp", [area + 16], 0
	EQUAL "fxsave st0", [area + 36], 0x80000000
	EQUAL "fxsave leaves xmm8", [area + 288], FILL
	EQUAL "fxsave leaves xmm15", [area + 412], FILL
	FAULTS "fxsave misaligned", 13, 0, fxsave [area + 8]

	; an operand whose limit C checks, with the x87 state in the registers
	mov ax, SEL_DOWN
	mov fs, ax
	fninit
	fld1
	fadd dword [fs:one]
	fstp dword [area]
	EQUAL "fadd expand-down", [area], 0x40000000
	fld1
	fst dword [fs:area + 4]
	fadd st0
	fstp dword [area + 8]
	EQUAL "fst expand-down", [area + 4], 0x3f800000
	EQUAL "behind it", [area + 8], 0x40000000

	; xsave
	mov eax, 1
	cpuid
	test ecx, 1 << 26
	jz .end
	mov eax, -1
	mov edx, 0x12345678
	FAULTS "xsave without OSXSAVE", 6, 0, xsave [area]
	mov eax, cr4
	or eax, OSXSAVE
	mov cr4, eax
	mov eax, 3
	xor edx, edx
	xor ecx, ecx
	xsetbv
	call fill_area
	fninit
	fld dword [one]
	mov eax, -1
	mov edx, 0x12345678
	FAULTS "xsave misaligned", 13, 0, xsave [area + 16]
	SAME "xsave misaligned eax", eax, -1
	SAME "xsave misaligned edx", edx, 0x12345678
	mov dword [area + 512], 0
	mov dword [area + 516], 0
	xsave [area]
	SAME "xsave eax", eax, -1
	SAME "xsave edx", edx, 0x12345678
	EQUAL "xsave fip", [area + 8], 0
	EQUAL "xsave fdp", [area + 16], 0
	EQUAL "xsave leaves xmm8", [area + 288], FILL
	EQUAL "xsave ends behind the header", [area + 576], FILL
	call fill_area
	mov dword [area + 512], 0
	mov dword [area + 516], 0
	mov eax, 2
	xsave [area]
	EQUAL "xsave of SSE leaves the x87 part", [area + 8], FILL
	pushad
	xor eax, eax
	mov edi, area + 512
	mov ecx, 16
	rep stosd
	popad
	mov byte [area + 512], 4
	mov eax, -1
	FAULTS "xrstor of what XCR0 lacks", 13, 0, xrstor [area]
	SAME "xrstor eax", eax, -1
	SAME "xrstor edx", edx, 0x12345678

	; gathers and masked moves
	mov eax, 7
	xor ecx, ecx
	cpuid
	test ebx, 1 << 5
	jz .end
	FAULTS "avx without XCR0", 6, 0, vzeroupper
	mov eax, 7
	xor edx, edx
	xor ecx, ecx
	xsetbv
	call fill_area
	mov dword [area], 0x11
	mov dword [area + 4], 0x22
	mov dword [area + 8], 0x33
	mov ax, SEL_SMALL
	mov fs, ax
	vpcmpeqd ymm2, ymm2, ymm2
	vmovdqu xmm1, [indexes]
	vpxor xmm0, xmm0, xmm0
	xor ebx, ebx
	FAULTS "gather beyond the limit", 13, 0, vpgatherdd xmm0, [fs:ebx + xmm1 * 4], xmm2
	vmovdqu [out], xmm0
	vmovdqu [out + 16], xmm2
	SAME "gathered 0", [out], 0x11
	SAME "gathered 1", [out + 4], 0x33
	SAME "not gathered 2", [out + 8], 0
	EQUAL "mask of what is done", [out + 20], 0
	EQUAL "mask of what is left", [out + 24], -1
	mov dword [area], 0x99		; is not loaded again
	vmovdqu xmm1, [indexes + 16]
	vpgatherdd xmm0, [fs:ebx + xmm1 * 4], xmm2
	vmovdqu [out], xmm0
	vmovdqu [out + 16], xmm2
	EQUAL "gather goes on 0", [out], 0x11
	EQUAL "gather goes on 2", [out + 8], 0x22
	EQUAL "gather goes on 3", [out + 12], 0x33
	EQUAL "mask at the end", [out + 28], 0
	vmovdqu ymm1, [first_only]
	vpcmpeqd ymm0, ymm0, ymm0
	RUNS "masked store at the limit", vmaskmovps [fs:0xfc], ymm1, ymm0
	EQUAL "masked store", [area + 0xfc], -1
	EQUAL "masked out", [area + 0x100], FILL
	FAULTS "masked store beyond it", 13, 0, vmaskmovps [fs:0x100], ymm1, ymm0
	RUNS "masked load at the limit", vmaskmovps ymm0, ymm1, [fs:0xfc]
	vmovdqu [out], ymm0
	EQUAL "masked load", [out], -1
	EQUAL "masked load of nothing", [out + 4], 0
.end:	ret

	align 16
one:	dd 1.0
	align 16
indexes: dd 0, 2, 1000, 1, 1000, 1000, 1, 2
first_only: dd -1, 0, 0, 0, 0, 0, 0, 0
	align 64
area:	times 1024 db 0
out:	times 32 db 0
END_OF_PROGRAM
