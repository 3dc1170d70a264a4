; debug.asm - single step, code breakpoints (data breakpoints: watch.asm), the interrupt shadow of MOV SS and STI, RF, INT1.
%include "lib.inc"

main:
	; TF: one #DB behind each instruction; DR6.BS
	ARM .stepped
	xor eax, eax
	mov dr6, eax
	pushfd
	or dword [esp], 0x100
	popfd
.one:	inc eax
.two:	inc eax
.stepped:
	EQUAL "step: one instruction ran", eax, 1
	SAME "step (eip)", [seen_eip], .two
	EQUAL "step", [seen_vector], 1
	mov eax, dr6
	and eax, 0xe00f
	EQUAL "dr6 says single step", eax, 0x4000
	test dword [seen_eflags], 0x100
	setnz al
	movzx eax, al
	EQUAL "tf is in the pushed flags", eax, 1

	; count steps through a small piece with the handler returning
	mov edi, idt + 8
	mov eax, [edi]
	mov [save_gate], eax
	mov eax, [edi + 4]
	mov [save_gate + 4], eax
	SETGATE idt + 8, SEL_CODE, counting, 0x8e, 0
	mov dword [steps], 0
	mov dword [save_esp], esp
	xor eax, eax
	mov dr6, eax
	mov ecx, 3
	pushfd
	or dword [esp], 0x100
	popfd
.l:	nop				; 3 x (nop, loop) = 6 steps
	loop .l
	pushfd				; 7
	and dword [esp], ~0x100		; 8
	popfd				; 9: no trap behind it, TF is clear then... the trap is decided by TF before: it comes
	nop
	EQUAL "steps through a loop", [steps], 9

	; REP: a step each element
	mov dword [steps], 0
	mov edi, scratch
	mov ecx, 4
	cld
	pushfd
	or dword [esp], 0x100
	popfd
	rep stosb			; 4 elements
	pushfd
	and dword [esp], ~0x100
	popfd
	nop
	EQUAL "a step for each element", [steps], 4 + 3

	; MOV SS holds the trap back for one instruction
	mov dword [steps], 0
	mov dx, ss
	pushfd
	or dword [esp], 0x100
	popfd
	mov ss, dx			; no trap here
	nop				; one
	pushfd
	and dword [esp], ~0x100
	popfd
	nop
	EQUAL "mov ss shadows a step", [steps], 1 + 3
	mov eax, [save_gate]
	mov [idt + 8], eax
	mov eax, [save_gate + 4]
	mov [idt + 12], eax

	; on code: a fault, before the instruction; RF lets it run
	mov eax, .bp
	mov dr1, eax
	mov eax, 0x404			; DR1: execute
	mov dr7, eax
	xor eax, eax
	mov dr6, eax
	ARM .code_hit
	xor ebx, ebx
.bp:	inc ebx
.code_hit:
	SAME "code breakpoint (ebx)", ebx, 0
	SAME "code breakpoint (eip)", [seen_eip], .bp
	EQUAL "code breakpoint", [seen_vector], 1
	mov eax, dr6
	and eax, 15
	SAME "dr6 says dr1", eax, 2
	ARM .rf
	xor ebx, ebx
	push dword 0x10002
	push dword SEL_CODE
	push dword .bp_again
	mov eax, .bp_again
	mov dr1, eax
	iretd
.bp_again: inc ebx
.rf:	EQUAL "rf skips the breakpoint", ebx, 1
	mov eax, 0x400
	mov dr7, eax

	; general detect
	mov eax, 0x2400
	mov dr7, eax
	FAULTS "general detect", 1, 0, mov eax, dr0
	mov eax, 0x400
	mov dr7, eax
	TRAPS "int1", 1, db 0xf1
	mov eax, dr7
	EQUAL "dr7 reads back", eax, 0x400
	mov eax, cr4
	or eax, 8
	mov cr4, eax
	FAULTS "dr4 with CR4.DE", 6, 0, mov eax, dr4
	and eax, ~8
	mov cr4, eax
	mov eax, cr4
	and eax, ~8
	mov cr4, eax
	RUNS "dr4 without CR4.DE", mov eax, dr4
	ret

counting:
	inc dword [steps]
	iretd

steps:		dd 0
save_esp:	dd 0
save_gate:	dd 0, 0
scratch:	times 16 db 0
END_OF_PROGRAM
