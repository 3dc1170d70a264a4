; smc.asm - code that changes: the next instruction, itself, a loop, another page, across pages, data beside code, by REP MOVS, by a push,
; through another mapping.
%include "lib.inc"

CODE equ PAGES + 0x8000		; a page of its own for made code

; Twice: code written often turns to self-checking blocks, so the second time the same is seen to be right with them.
main:
	call changes
	mov byte [changes.callee + 2], 1
	call changes
	ret

changes:
	; the instruction behind the store
	mov ebx, 0
	mov byte [.next + 1], 0x22
.next:	mov bl, 0x11
	EQUAL "next instruction", ebx, 0x22
	mov byte [.next + 1], 0x11

	; an instruction that overwrites itself
	mov eax, .self
	mov dword [.self_count], 0
	mov edx, 0x90909090
.self:	mov [eax], edx
	nop
	nop
	inc dword [.self_count]
	cmp byte [.self], 0x90
	jne .self
	EQUAL "store over itself", [.self_count], 1
	mov dword [.self], 0x90901089	; mov [eax], edx

	; the stack in the page of the code that is called: thousands of writes beside the code, none of which loses its call
	mov dword [CODE], 0xc346		; inc esi; ret
	mov ebx, esp
	mov esp, CODE + 0xff0
	xor esi, esi
	mov ebp, 6000
	mov eax, CODE
.deep:	call eax
	dec ebp
	jnz .deep
	mov esp, ebx
	EQUAL "stack beside code", esi, 6000

	; a function on another page, rewritten and called in turn
	mov ebp, 20
	xor esi, esi
.rewrite:
	mov byte [CODE], 0xb8		; mov eax, imm; ret
	mov [CODE + 1], ebp
	mov byte [CODE + 5], 0xc3
	mov eax, CODE
	call eax
	add esi, eax
	dec ebp
	jnz .rewrite
	EQUAL "function on another page", esi, 20 * 21 / 2

	; an instruction over a page border, each half changed
	mov dword [CODE + 0xffe], 0x000000b8
	mov word [CODE + 0x1002], 0xc300
	mov eax, CODE + 0xffe
	call eax
	SAME "over a page border", eax, 0
	mov byte [CODE + 0xfff], 0x34
	mov eax, CODE + 0xffe
	call eax
	SAME "first page changed", eax, 0x34
	mov byte [CODE + 0x1001], 0x12
	mov eax, CODE + 0xffe
	call eax
	EQUAL "second page changed", eax, 0x120034

	; REP MOVSB over code that has run
	mov esi, .template1
	call .install
	mov eax, CODE
	call eax
	SAME "first copy", eax, 1
	mov esi, .template2
	call .install
	mov eax, CODE
	call eax
	EQUAL "second copy", eax, 2

	; REP STOSB over the instruction behind it
	mov edi, .stos_next
	mov al, 0x90
	mov ecx, 5
	mov ebx, 7
	rep stosb
.stos_next:
	mov ebx, 8
	EQUAL "rep stosb over the next instruction", ebx, 7
	mov byte [.stos_next], 0xbb
	mov dword [.stos_next + 1], 8

	; a push that writes the next instruction: push eax; nop x 4 becomes inc ebx x 4
	mov [.esp], esp
	mov esp, .pushed + 4
	mov eax, 0x43434343
	xor ebx, ebx
	push eax
.pushed: nop
	nop
	nop
	nop
	mov eax, esp
	mov esp, [.esp]
	SAME "push over the next instruction: esp", eax, .pushed
	EQUAL "push over the next instruction", ebx, 4
	mov dword [.pushed], 0x90909090

	; a call that writes its return address over the code it goes to
	mov [.esp], esp
	mov esp, CODE + 0x104
	mov byte [CODE + 0x100], 0xc3
	mov dword [CODE + 0x104], 0x90909090
	mov byte [CODE + 0x108], 0xc3
	mov eax, CODE + 0x104
	call eax
	mov esp, [.esp]
	movzx eax, byte [CODE + 0x104]
	EQUAL "call with the stack beside code", eax, 0x90

	; a jump target changes while it is chained
	mov ecx, 10
	xor ebx, ebx
.chain:	call .callee
	mov byte [.callee + 2], 2	; add ebx, 2 from now on
	loop .chain
	EQUAL "chained callee", ebx, 1 + 9 * 2

	; the same frame under two linear addresses
	mov edi, DIR
	xor eax, eax
	mov ecx, 1024
	rep stosd
	mov dword [DIR], 0x83
	mov dword [DIR + 4], 0x83	; 4 MiB above: the same
	mov eax, cr4
	or eax, 0x10
	mov cr4, eax
	mov eax, DIR
	mov cr3, eax
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax
	mov byte [CODE], 0xb8
	mov dword [CODE + 1], 0x1111
	mov byte [CODE + 5], 0xc3
	mov ebx, CODE
	call ebx
	mov dword [CODE + 0x400000 + 1], 0x2222
	call ebx
	EQUAL "written through another mapping", eax, 0x2222
	mov ebx, CODE + 0x400000
	call ebx
	mov dword [CODE + 1], 0x3333
	call ebx
	EQUAL "run through another mapping", eax, 0x3333
	; the page tables change which code is there
	mov byte [CODE + 0x2000], 0xb8
	mov dword [CODE + 0x2001], 0x4444
	mov byte [CODE + 0x2005], 0xc3
	mov dword [DIR + 8], TAB + 3
	mov dword [TAB], CODE + 3
	mov ebx, 0x800000
	call ebx
	SAME "page table: first frame", eax, 0x3333
	mov dword [TAB], CODE + 0x2000 + 3
	invlpg [0x800000]
	call ebx
	EQUAL "page table: second frame", eax, 0x4444
	mov eax, cr0
	and eax, 0x7fffffff
	mov cr0, eax

	; a loop whose body changes every time round
	xor eax, eax
	mov [.sum], eax
	mov ecx, 50
.loop:	mov [.add + 1], cl
.add:	add al, 0
	movzx eax, al
	add [.sum], eax
	xor eax, eax
	loop .loop
	EQUAL "loop body", [.sum], 50 * 51 / 2

	; immediates of MOV, ADD and SUB, rewritten and run in turn
	mov byte [CODE + 0x300], 0xb8	; mov eax, imm; add eax, imm; sub edx, imm; ret
	mov byte [CODE + 0x305], 0x05
	mov word [CODE + 0x30a], 0xea81
	mov byte [CODE + 0x310], 0xc3
	mov ebp, 40
	xor esi, esi
.immediates:
	mov [CODE + 0x301], ebp
	mov [CODE + 0x306], ebp
	mov [CODE + 0x30c], ebp
	mov edx, ebp
	mov eax, CODE + 0x300
	call eax
	add esi, eax
	lea esi, [esi + edx * 4]
	dec ebp
	jnz .immediates
	EQUAL "rewritten immediates", esi, 40 * 41

	; the second byte of an undefined opcode
	mov ecx, 40
.undefined:
	mov word [CODE + 0x200], 0xff0f	; ud0
	mov byte [CODE + 0x202], 0xc0
	mov eax, CODE + 0x200
	ARM .undefined_back
	call eax
.undefined_back:
	mov word [CODE + 0x201], 0xc3a2	; cpuid; ret
	pushad
	mov eax, CODE + 0x200
	call eax
	popad
	loop .undefined
	EQUAL "undefined opcode becomes another", ecx, 0

	; data beside code: written often, must stay right
	mov ecx, 20000
	mov dword [.data], 0
.beside:
	inc dword [.data]
	mov eax, [.data]
	loop .beside
	EQUAL "data beside code", eax, 20000

	ret

.install:
	mov edi, CODE
	mov ecx, 6
	rep movsb
	ret
.callee:
	add ebx, 1
	ret
.template1:
	mov eax, 1
	ret
.template2:
	mov eax, 2
	ret
	align 4
.self_count:	dd 0
.sum:		dd 0
.data:		dd 0
.esp:		dd 0
DIR equ PAGES
TAB equ PAGES + 0x1000
END_OF_PROGRAM
