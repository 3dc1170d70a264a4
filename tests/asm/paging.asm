; paging.asm - page tables: accessed and dirty bits, WP, error codes and CR2, large pages, INVLPG, accesses across pages, restartable
; instructions, PAE and NX.
%include "lib.inc"

DIR   equ PAGES			; page directory
TAB   equ PAGES + 0x1000	; table for 4 MiB + n
PDPT  equ PAGES + 0x2000
PDIR  equ PAGES + 0x3000	; PAE directory, first GiB
PTAB  equ PAGES + 0x4000	; PAE table
FRAME equ PAGES + 0x10000	; test frames: FRAME + n * 0x1000
WIN   equ 0x400000		; linear window: page n is TAB[n]

P equ 1
W equ 2
U equ 4
A equ 0x20
D equ 0x40
PS equ 0x80

%define PTE(n) dword [TAB + (n) * 4]
%define VA(n) (WIN + (n) * 0x1000)
%define FA(n) (FRAME + (n) * 0x1000)

flush:	mov eax, cr3
	mov cr3, eax
	ret

main:
	mov edi, DIR
	xor eax, eax
	mov ecx, 0x10000 / 4
	rep stosd
	mov dword [DIR], 0 | P | W | U | PS		; first 4 MiB: identity
	mov dword [DIR + 4], TAB + (P | W | U)
	mov PTE(0), FA(0) + (P | W | U)
	mov PTE(1), FA(1) + (P | W | U)
	mov PTE(2), FA(2) + (P | U)
	mov PTE(3), FA(3) + (P | W)
	mov PTE(4), 0
	mov PTE(5), FA(5) + (P | W | U)
	mov eax, cr4
	or eax, 0x10
	mov cr4, eax
	mov eax, DIR
	mov cr3, eax
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax

	; accessed and dirty
	mov eax, [VA(0)]
	SAME "directory accessed", [DIR + 4], TAB + (P | W | U | A)
	EQUAL "read sets A", [TAB], FA(0) + (P | W | U | A)
	mov dword [VA(0)], 0x11223344
	EQUAL "write sets D", [TAB], FA(0) + (P | W | U | A | D)
	EQUAL "written to the frame", [FA(0)], 0x11223344
	mov dword [VA(1) + 8], 5
	EQUAL "write alone sets A and D", [TAB + 4], FA(1) + (P | W | U | A | D)
	mov PTE(1), FA(1) + (P | W | U)
	call flush
	mov eax, [VA(1)]
	lock add dword [VA(1)], 1
	EQUAL "read-modify-write sets D", [TAB + 4], FA(1) + (P | W | U | A | D)

	; faults
	FAULTS "not present, read", 14, 0, mov eax, [VA(4) + 0x10]
	EQUAL "cr2", [seen_cr2], VA(4) + 0x10
	FAULTS "not present, write", 14, 2, mov [VA(4) + 0x14], eax
	EQUAL "cr2 of a write", [seen_cr2], VA(4) + 0x14
	FAULTS "read-modify-write, not present", 14, 2, add [VA(4)], eax
	FAULTS "no directory entry", 14, 0, mov eax, [0x800000]
	RUNS "supervisor writes read-only without WP", mov [VA(2)], eax
	SAME "which sets D", [TAB + 8], FA(2) + (P | U | A | D)
	mov eax, cr0
	or eax, 0x10000
	mov cr0, eax
	FAULTS "supervisor write with WP", 14, 3, mov [VA(2)], eax
	RUNS "supervisor read with WP", mov eax, [VA(2)]
	mov eax, cr0
	and eax, ~0x10000
	mov cr0, eax
	RUNS "WP off again", mov [VA(2)], eax
	ARM .jumped
	jmp dword [ptr_nowhere]
.jumped:
	SAME "jump to nowhere (eip)", [seen_eip], 0x900000
	SAME "jump to nowhere (cr2)", [seen_cr2], 0x900000
	EQUAL "jump to nowhere", [seen_vector], 14

	; user rights
	RING3 user_read
	EQUAL "user read", [seen_vector], 0x40
	RING3 user_read_super
	SAME "user read of a supervisor page (error)", [seen_error], 5
	EQUAL "user read of a supervisor page", [seen_vector], 14
	EQUAL "cr2 of it", [seen_cr2], VA(3)
	RING3 user_write_ro
	SAME "user write of a read-only page (error)", [seen_error], 7
	EQUAL "user write of a read-only page", [seen_vector], 14
	RING3 user_absent
	EQUAL "user read of an absent page (error)", [seen_error], 4

	; the TLB keeps what it had until INVLPG
	mov PTE(0), FA(0) + (P | W | U)
	invlpg [VA(0)]
	mov eax, [VA(0)]
	mov dword [FA(5)], 0x55555555
	mov PTE(0), FA(5) + (P | W | U)
	invlpg [VA(0)]
	mov eax, [VA(0)]
	EQUAL "invlpg", eax, 0x55555555
	mov PTE(0), 0
	invlpg [VA(0) + 0x123]
	FAULTS "invlpg of any byte of the page", 14, 0, mov eax, [VA(0)]
	mov PTE(0), FA(0) + (P | W | U)
	RUNS "absent to present needs no flush", mov eax, [VA(0)]

	; across a page border: page 0 and 1 lie in frames that are not neighbours
	mov PTE(1), FA(9) + (P | W | U)
	call flush
	mov dword [VA(1) - 2], 0xaabbccdd
	SAME "write across (low half)", [FA(0) + 0xffc], 0xccdd0000
	movzx eax, word [FA(9)]
	EQUAL "write across (high half)", eax, 0xaabb
	mov eax, [VA(1) - 2]
	EQUAL "read across", eax, 0xaabbccdd
	add dword [VA(1) - 3], 0x01000000
	mov eax, [VA(1) - 2]
	EQUAL "read-modify-write across", eax, 0xaabccddd - 0x1100 + 0x1000
	mov PTE(1), 0
	mov PTE(0), FA(0) + (P | W | U)
	call flush
	mov dword [FA(0) + 0xffc], 0x12345678
	FAULTS "write across into nothing", 14, 2, mov dword [VA(1) - 2], -1
	SAME "cr2 is the second page", [seen_cr2], VA(1)
	EQUAL "the first half is unwritten", [FA(0) + 0xffc], 0x12345678
	FAULTS "read across into nothing", 14, 0, mov eax, [VA(1) - 1]
	SAME "cr2 of it", [seen_cr2], VA(1)

	; restartable: ESP, counts and pointers at a fault. Stack faults in ring 3: in ring 0 the handler would have no stack either
	RING3 user_push
	SAME "push into nothing (vector)", [seen_vector], 14
	SAME "push into nothing (error)", [seen_error], 6
	SAME "push into nothing (cr2)", [seen_cr2], VA(5) - 4
	EQUAL "push into nothing keeps esp", [seen_esp], VA(5)
	RING3 user_pusha
	SAME "pushad into nothing (cr2)", [seen_cr2], VA(5) - 4
	EQUAL "pushad into nothing keeps esp", [seen_esp], VA(5) + 8
	RING3 user_call
	SAME "call into nothing (eip)", [seen_eip], user_call.call
	EQUAL "call into nothing keeps esp", [seen_esp], VA(5)
	RING3 user_pop
	SAME "pop to nothing (cr2)", [seen_cr2], VA(4)
	EQUAL "pop to nothing keeps esp", [seen_esp], VA(5) + 0x10
	RING3 user_enter
	EQUAL "enter into nothing keeps esp", [seen_esp], VA(5)
	RING3 user_ret
	SAME "ret from nothing (eip)", [seen_eip], user_ret.ret
	EQUAL "ret from nothing keeps esp", [seen_esp], VA(4)

	mov esi, FA(0)
	mov edi, VA(1) - 10
	mov ecx, 5
	FAULTS "rep movsd into nothing", 14, 2, rep movsd
	SAME "its ecx", ecx, 3
	SAME "its esi", esi, FA(0) + 8
	EQUAL "its edi", edi, VA(1) - 2
	mov edi, VA(1) - 3
	mov ecx, 100
	mov al, 0
	FAULTS "rep stosb into nothing", 14, 2, rep stosb
	SAME "its ecx", ecx, 97
	EQUAL "its edi", edi, VA(1)
	mov edi, VA(1) - 4
	mov ecx, 100
	FAULTS "repe scasb into nothing", 14, 0, repe scasb
	EQUAL "its edi", edi, VA(1)
	std
	mov edi, VA(5) + 8
	mov ecx, 10
	FAULTS "rep stosd downwards into nothing", 14, 2, rep stosd
	SAME "its ecx", ecx, 7
	EQUAL "its edi", edi, VA(5) - 4
	cld

	; a CR3 switch: other tables, and back
	mov esi, DIR
	mov edi, DIR2
	mov ecx, 1024
	rep movsd
	mov dword [DIR2 + 4], TAB2 + (P | W | U)
	mov dword [TAB2], FA(6) + (P | W | U)
	mov dword [FA(6)], 0x66666666
	mov dword [FA(0)], 0x77777777
	mov ebx, DIR
	mov edx, DIR2
	mov ecx, 3
.switch:
	mov cr3, edx
	mov eax, [VA(0)]
	SAME "second address space", eax, 0x66666666
	mov cr3, ebx
	mov eax, [VA(0)]
	SAME "first address space", eax, 0x77777777
	loop .switch
	mov cr3, edx
	mov dword [DIR + 4], 0		; changes what is not current
	mov cr3, ebx
	FAULTS "changed while away", 14, 0, mov eax, [VA(0)]
	mov dword [DIR + 4], TAB + (P | W | U)

	; global pages stay over a CR3 write
	mov eax, cr4
	or eax, 0x80
	mov cr4, eax
	mov PTE(7), FA(7) + (P | W | U | 0x100)
	mov dword [FA(7)], 0x7777
	mov eax, [VA(7)]
	invlpg [VA(7)]
	mov PTE(7), FA(8) + (P | W | U | 0x100)
	mov dword [FA(8)], 0x8888
	call flush
	mov eax, [VA(7)]
	invlpg [VA(7)]
	mov eax, [VA(7)]
	EQUAL "global page after invlpg", eax, 0x8888

	; large page: D bit in the directory, reserved bits
	mov dword [DIR + 8], (P | W | U | PS)
	mov dword [0x800000 + FA(0)], 0x4321
	EQUAL "4 MiB page", [FA(0)], 0x4321
	EQUAL "its A and D bits", [DIR + 8], P | W | U | PS | A | D
	mov dword [DIR + 8], 0x200000 + (P | W | U | PS)	; bit 21 is reserved
	call flush
	FAULTS "reserved bit in a large page", 14, 9, mov eax, [0x800000]
	SAME "cr2 of it", [seen_cr2], 0x800000

	; PAE with NX
	mov eax, cr0
	and eax, 0x7fffffff
	mov cr0, eax
	mov dword [PDPT], PDIR + P
	mov dword [PDIR], P | W | U | PS
	mov dword [PDIR + 8], 0x200000 + (P | W | U | PS)
	mov dword [PDIR + 16], PTAB + (P | W | U)
	mov dword [PTAB], FA(0) + (P | W | U)
	mov dword [PTAB + 8], FA(1) + (P | U)
	mov eax, cr4
	or eax, 0x20
	mov cr4, eax
	mov eax, PDPT
	mov cr3, eax
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax
	mov dword [VA(0)], 0x99
	EQUAL "pae write", [FA(0)], 0x99
	EQUAL "pae A and D", [PTAB], FA(0) + (P | W | U | A | D)
	FAULTS "pae absent", 14, 0, mov eax, [VA(2)]
	FAULTS "pae: next GiB is absent", 14, 0, mov eax, [0x40000000]
	mov eax, 0x80000001
	cpuid
	test edx, 1 << 20
	jz .no_nx
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x800
	wrmsr
	mov byte [FA(0)], 0xc3		; ret
	mov eax, VA(0)
	RUNS "call of a page without NX", call eax
	mov dword [PTAB + 4], 0x80000000
	invlpg [VA(0)]
	RUNS "read of a page with NX", mov eax, [VA(0)]
	mov dword [resume], .nx
	mov dword [seen_vector], -1
	mov [saved_esp], esp
	mov eax, VA(0)
	call eax
.nx:	SAME "nx fault's eip", [seen_eip], VA(0)
	SAME "nx fault's error code", [seen_error], 0x11
	EQUAL "call of a page with NX", [seen_vector], 14
.no_nx:
	mov dword [PDPT + 8], 0x1e6	; reserved bits of a PDPTE that is not present: no matter
	mov eax, cr3
	RUNS "absent pdpte", mov cr3, eax
	mov dword [PDPT + 8], 0x1e7
	FAULTS "reserved bits of a pdpte", 13, 0, mov cr3, eax
	mov dword [PDPT + 8], 0
	mov eax, cr0
	and eax, 0x7fffffff
	mov cr0, eax
	ret

user_read:	mov eax, [VA(2)]
	int 0x40
user_read_super: mov eax, [VA(3)]
	int 0x40
user_write_ro:	mov [VA(2)], eax
	int 0x40
user_absent:	mov eax, [VA(4)]
	int 0x40
user_push:	mov esp, VA(5)
	push eax
	int 0x40
user_pusha:	mov esp, VA(5) + 8
	pushad
	int 0x40
user_call:	mov esp, VA(5)
.call:	call user_call
	int 0x40
user_pop:	mov esp, VA(5) + 0x10
	pop dword [VA(4)]
	int 0x40
user_enter:	mov esp, VA(5)
	enter 8, 0
	int 0x40
user_ret:	mov esp, VA(4)
.ret:	ret

DIR2 equ PAGES + 0x8000
TAB2 equ PAGES + 0x9000
ptr_nowhere:	dd 0x900000
END_OF_PROGRAM
