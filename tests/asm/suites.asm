; suites.asm - what the published suites found: debug exceptions around INT, STI, MOV SS and REP; ARPL's write.
%include "lib.inc"

DR0_WRITE1 equ 0x00010401	; DR0: one byte, write
DR0_IO     equ 0x00020401
DR1_EXEC   equ 0x00000404
NONE       equ 0x00000400

%macro TF_ON 0
	pushfd
	or dword [esp], 0x100
	popfd
%endmacro
%macro DR7 1
	mov eax, %1
	mov dr7, eax
%endmacro

main:
	; INT clears TF and no trap comes at the handler's first instruction; the IRET sets it again
	SETGATE idt + 8 * 0x50, SEL_CODE, return, 0x8e, 0
	ARM .int_done
	TF_ON
	int 0x50
.int_next: nop
.int_trap: nop
.int_done:
	SAME "int with tf (eip)", [seen_eip], .int_trap
	EQUAL "int with tf", [seen_vector], 1

	; STI holds back interrupts, not the trap
	ARM .sti_done
	TF_ON
	sti
.sti_trap: nop
	nop
.sti_done:
	cli
	SAME "sti with tf (eip)", [seen_eip], .sti_trap
	EQUAL "sti with tf", [seen_vector], 1

	; MOV SS holds back a code breakpoint for good (AMD's processors do not), a data breakpoint for one instruction
	xor eax, eax
	cpuid
	mov dword [behind_ss], -1
	cmp ecx, 'cAMD'
	jne .intel
	mov dword [behind_ss], 1
.intel:	mov eax, .behind_ss
	mov dr1, eax
	DR7 DR1_EXEC
	mov eax, ss
	ARM .behind_ss_done
	mov ss, ax
.behind_ss: inc ebx
.behind_ss_done:
	EQUAL "code breakpoint behind mov ss", [seen_vector], [behind_ss]
	DR7 NONE
	mov eax, watched
	mov dr0, eax
	mov word [watched], SEL_DATA
	DR7 DR0_WRITE1 | 0x20000	; read or write
	ARM .ss_done
	mov ss, [watched]
	nop
.ss_trap: nop
.ss_done:
	DR7 NONE
	SAME "watched mov ss (eip)", [seen_eip], .ss_trap
	EQUAL "watched mov ss", [seen_vector], 1

	; RF lets all iterations of a string instruction go by its breakpoint
	mov eax, .rep
	mov dr1, eax
	DR7 DR1_EXEC
	mov edi, watched
	mov ecx, 4
	ARM .rep_done
	push dword 0x10002
	push dword SEL_CODE
	push dword .rep
	iretd
.rep:	rep stosb
.rep_done:
	DR7 NONE
	SAME "rf and rep (ecx)", ecx, 0
	EQUAL "rf and rep", [seen_vector], -1

	; a watched byte in the middle of REP: the trap comes behind its iteration
	DR7 DR0_WRITE1
	mov edi, watched - 5
	mov ecx, 16
	ARM .stos_done
.stos:	rep stosb
	nop
.stos_done:
	DR7 NONE
	SAME "watched rep stosb (ecx)", ecx, 10
	SAME "watched rep stosb (eip)", [seen_eip], .stos
	EQUAL "watched rep stosb", [seen_vector], 1

	; stack, and a read-modify-write
	DR7 DR0_WRITE1
	ARM .push_done
	mov esp, watched + 4
	push eax
.push_trap: nop
.push_done:
	DR7 NONE
	SAME "watched push (eip)", [seen_eip], .push_trap
	EQUAL "watched push", [seen_vector], 1
	mov eax, watched
	mov dr0, eax
	DR7 DR0_WRITE1
	TRAPS "watched lock inc", 1, lock inc dword [watched]
	; an instruction that hits and faults only faults
	DR7 NONE
	mov word [watched], 0xffff
	DR7 DR0_WRITE1 | 0x20000
	FAULTS "a hit and a fault", 13, 0xfffc, mov ds, [watched]
	RUNS "the hit is forgotten", nop
	DR7 NONE

	; ports, with CR4.DE only
	mov eax, 0x80
	mov dr0, eax
	DR7 DR0_IO
	RUNS "port without CR4.DE", out 0x80, al
	mov eax, cr4
	or eax, 8
	mov cr4, eax
	TRAPS "watched out", 1, out 0x80, al
	TRAPS "watched in", 1, in al, 0x80
	RUNS "the port beside it", out 0x81, al
	DR7 NONE
	mov eax, cr4
	and eax, ~8
	mov cr4, eax

	; ARPL writes only what it changes: a read-only segment does not matter then
	SETDESC SEL_FREE, 0, 0xfffff, 0x91, 0xc0
	mov ax, SEL_FREE
	mov es, ax
	mov dword [watched], 0xfff2
	mov cx, 2
	RUNS "arpl that changes nothing", arpl [es:watched], cx
	mov cx, 3
	FAULTS "arpl to a read-only segment", 13, 0, arpl [es:watched], cx
	EQUAL "arpl left it", [watched], 0xfff2
	; near jumps beyond the CS limit fault at the jump
	SETDESC SEL_FREE, 0, 0x1ff, 0x9b, 0xc0
	jmp SEL_FREE:.limited
.limited:
	FAULTS "jump beyond the limit", 13, 0, jmp 0x200000
	jmp SEL_FREE:.limited2
.limited2:
	FAULTS "call beyond the limit", 13, 0, call 0x200000
	ESP_KEPT "call beyond the limit"
	jmp SEL_FREE:.limited3
.limited3:
	cmp eax, eax
	FAULTS "conditional jump beyond the limit", 13, 0, jz near 0x200000
	jmp SEL_FREE:.limited4
.limited4:
	cmp eax, eax
	RUNS "not taken", jnz near 0x200000
	jmp SEL_CODE:.flat
.flat:
	; #AC in ring 3, also where C code does the access
	mov eax, cr0
	or eax, 0x40000
	mov cr0, eax
%macro MISALIGNED 2	; name, label: the instruction at label.at faults
	ARM %%back
	mov eax, %2
	mov ecx, 0x40002
	jmp enter_ring3
%%back:	SAME {%1, " (eip)"}, [seen_eip], %2.at
	SAME {%1, " (error code)"}, [seen_error], 0
	EQUAL %1, [seen_vector], 17
%endmacro
	MISALIGNED "misaligned mov", ac_mov
	MISALIGNED "misaligned rep movsd", ac_movs
	MISALIGNED "misaligned rep stosw", ac_stos
	MISALIGNED "misaligned far call", ac_far
	ARM .ac_fine
	mov eax, ac_fine
	mov ecx, 0x40002
	jmp enter_ring3
.ac_fine: EQUAL "aligned accesses", [seen_vector], 0x40
	mov eax, cr0
	and eax, ~0x40000
	mov cr0, eax
	ret

ac_mov:
.at:	mov eax, [watched + 2]
	int 0x40
ac_movs:
	mov esi, watched + 1
	mov edi, watched
	mov ecx, 2
.at:	rep movsd
	int 0x40
ac_stos:
	mov edi, watched + 1
	mov ecx, 2
.at:	rep stosw
	int 0x40
ac_far:
	dec esp
.at:	call SEL_CODE3:ac_mov
	int 0x40
ac_fine:
	mov esi, watched + 4
	mov edi, watched
	mov ecx, 2
	rep movsd
	mov al, [watched + 1]
	mov ax, [watched + 2]
	int 0x40

return:	iretd

	align 16
	times 32 dd 0
watched: times 16 dd 0
behind_ss: dd 0
END_OF_PROGRAM
