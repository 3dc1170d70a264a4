; dirty.asm - the dirty bit of a page that could have been written but was not: look-ups that several accesses share must not set it.
%include "lib.inc"

DIR   equ PAGES
TAB   equ PAGES + 0x1000
FRAME equ PAGES + 0x10000
WIN   equ 0x400000

P equ 1
W equ 2
U equ 4
A equ 0x20
D equ 0x40
PS equ 0x80

%define PTE(n) dword [TAB + (n) * 4]
%define VA(n) (WIN + (n) * 0x1000)
%define FA(n) (FRAME + (n) * 0x1000)

main:
	mov edi, DIR
	xor eax, eax
	mov ecx, 0x14000 / 4
	rep stosd
	mov dword [DIR], 0 | P | W | U | PS
	mov dword [DIR + 4], TAB + (P | W | U)
	mov PTE(0), FA(0) + (P | W | U)
	mov PTE(1), FA(1) + (P | W | U)
	mov PTE(3), FA(3) + (P | W | U)
	mov eax, cr4
	or eax, 0x10
	mov cr4, eax
	mov eax, DIR
	mov cr3, eax
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax

	mov ebx, VA(0)
	mov ecx, 20			; often enough for any form of the block
.again:
	mov eax, [ebx]
	test eax, eax
	jz .passed
	mov [ebx + 4], eax
	mov [ebx + 8], eax
.passed:
	SAME "a write that a jump passed by (accessed, not dirty)", [TAB], FA(0) + (P | W | U | A)
	dec ecx
	jnz .again
	EQUAL "a write that a jump passed by", [TAB], FA(0) + (P | W | U | A)
	mov dword [FA(0)], 1
	mov eax, [ebx]
	test eax, eax
	jz .never
	mov [ebx + 4], eax
	mov [ebx + 8], eax
.never:	SAME "the write behind it", [FA(0) + 8], 1
	EQUAL "sets the dirty bit", [TAB], FA(0) + (P | W | U | A | D)

	RING3 user_push
	SAME "push of what is not there (vector)", [seen_vector], 14
	SAME "push of what is not there (cr2)", [seen_cr2], VA(2)
	SAME "push of what is not there (esp)", [seen_esp], VA(1) + 0x100
	mov eax, [TAB + 4]
	and eax, D
	EQUAL "push of what is not there leaves the stack clean", eax, 0

	mov ebx, VA(3)
	mov dword [ebx], 2		; its own write comes first: no way around
	mov dword [ebx + 4], 3
	EQUAL "two writes", [TAB + 12], FA(3) + (P | W | U | A | D)
	ret

user_push:
	mov esp, VA(1) + 0x100
	push dword [VA(2)]
	push eax
	int 0x40
END_OF_PROGRAM
