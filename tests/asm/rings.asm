; rings.asm - privilege transitions: call gates with parameters, inner and outer returns, interrupts from ring 3, what outer returns
; do to data segments, conforming code, and the error codes of refused transfers.
%include "lib.inc"

SEL_GATE    equ SEL_FREE		; call gate, DPL 3, to ring 0, two doubleword parameters
SEL_GATE16  equ SEL_FREE + 8		; 16-bit call gate, DPL 3, one word parameter
SEL_GATE0   equ SEL_FREE + 16		; call gate, DPL 0
SEL_GATENP  equ SEL_FREE + 24		; not present
SEL_CONF    equ SEL_FREE + 32		; conforming code, DPL 0
SEL_CODE1   equ SEL_FREE + 40
SEL_DATA1   equ SEL_FREE + 48
SEL_GATE1   equ SEL_FREE + 56		; call gate, DPL 3, to ring 1
SEL_CONF3   equ SEL_FREE + 64		; conforming code, DPL 3
SEL_GATEBAD equ SEL_FREE + 72		; call gate to a data segment

ring1_stack equ ring3_stack_top - 0x800

main:
	SETGATE gdt + SEL_GATE, SEL_CODE, gate_target, 0xec, 2
	SETGATE gdt + SEL_GATE16, SEL_CODE, 0, 0xe4, 1
	SETGATE gdt + SEL_GATE0, SEL_CODE, gate_target, 0x8c, 0
	SETGATE gdt + SEL_GATENP, SEL_CODE, gate_target, 0x6c, 0
	SETDESC SEL_CONF, 0, 0xfffff, 0x9f, 0xc0
	SETDESC SEL_CODE1, 0, 0xfffff, 0xbb, 0xc0
	SETDESC SEL_DATA1, 0, 0xfffff, 0xb3, 0xc0
	SETGATE gdt + SEL_GATE1, SEL_CODE1, gate_ring1, 0xec, 0
	SETDESC SEL_CONF3, 0, 0xfffff, 0xff, 0xc0
	SETGATE gdt + SEL_GATEBAD, SEL_DATA, 0, 0xec, 0
	mov dword [tss + 12], ring1_stack
	mov dword [tss + 16], SEL_DATA1 | 1

	; same-ring far transfers
	mov [old_esp], esp
	call SEL_CODE:near_far
	mov eax, esp
	EQUAL "far call and return", eax, [old_esp]
	push dword 0x11111111
	push dword 0x22222222
	call SEL_CODE:near_far8
	mov eax, esp
	EQUAL "far return with release", eax, [old_esp]
	jmp SEL_CONF:.conforming
.conforming:
	mov ax, cs
	movzx eax, ax
	EQUAL "jump to conforming code keeps the ring", eax, SEL_CONF
	jmp SEL_CODE:.back
.back:

	; a gate from ring 3
	RING3 user_gate
	SAME "call gate: parameter 1", [param1], 0x11111111
	SAME "call gate: parameter 2", [param2], 0x22222222
	SAME "call gate: caller's cs", [caller_cs], SEL_CODE3
	SAME "call gate: caller's ss", [caller_ss], SEL_DATA3
	SAME "call gate: caller's esp", [caller_esp], ring3_stack_top - 8
	SAME "call gate: esp inside", [inner_esp], ring0_stack_top - 24
	SAME "after it: esp", [seen_esp], ring3_stack_top
	EQUAL "call gate and back", [seen_vector], 0x40
	movzx eax, word [seen_ds]
	EQUAL "outer return clears a ring 0 ds", eax, 0
	RING3 user_gate_keep
	movzx eax, word [seen_ds]
	EQUAL "outer return keeps a ring 3 ds", eax, SEL_DATA3
	RING3 user_gate1
	SAME "gate to ring 1: cs", [inner_cs], SEL_CODE1 | 1
	EQUAL "gate to ring 1 and back", [seen_vector], 0x40

	; refused
	RING3 user_gate0
	SAME "gate with dpl 0 (error)", [seen_error], SEL_GATE0
	EQUAL "gate with dpl 0", [seen_vector], 13
	RING3 user_gatenp
	SAME "absent gate (error)", [seen_error], SEL_GATENP
	EQUAL "absent gate", [seen_vector], 11
	RING3 user_gatebad
	SAME "gate to data (error)", [seen_error], SEL_DATA
	EQUAL "gate to data", [seen_vector], 13
	RING3 user_jmp_gate
	SAME "jump through a gate to an inner ring (error)", [seen_error], SEL_CODE
	EQUAL "jump through a gate to an inner ring", [seen_vector], 13
	RING3 user_call_code
	SAME "direct call of ring 0 code (error)", [seen_error], SEL_CODE
	EQUAL "direct call of ring 0 code", [seen_vector], 13
	RING3 user_conforming
	SAME "conforming code called from ring 3: cs", [inner_cs], SEL_CONF | 3
	EQUAL "conforming code called from ring 3", [seen_vector], 0x40
	RING3 user_iret_inner
	SAME "iret to an inner ring (error)", [seen_error], SEL_CODE
	EQUAL "iret to an inner ring", [seen_vector], 13
	RING3 user_retf_null
	SAME "retf to null (error)", [seen_error], 0
	EQUAL "retf to null", [seen_vector], 13
	FAULTS "far jump to null", 13, 0, jmp 0:0
	FAULTS "far jump to data", 13, SEL_DATA, jmp SEL_DATA:0
	FAULTS "far jump to ring 3 code", 13, SEL_CODE3 & ~3, jmp SEL_CODE3:0
	FAULTS "far jump beyond the gdt", 13, GDT_SIZE, jmp GDT_SIZE:0

	; the inner stack is bad
	mov dword [tss + 16], 0
	RING3 user_gate1
	SAME "null inner stack (error)", [seen_error], 0
	EQUAL "null inner stack", [seen_vector], 10
	mov dword [tss + 16], SEL_DATA
	RING3 user_gate1
	SAME "inner stack with another dpl (error)", [seen_error], SEL_DATA
	EQUAL "inner stack with another dpl", [seen_vector], 10
	mov dword [tss + 16], SEL_DATA1 | 1

	; iret to ring 3: EFLAGS, and data segments of ring 0 are cleared
	ARM .ret3
	push dword SEL_DATA3
	push dword ring3_stack_top
	push dword 0x3202
	push dword SEL_CODE3
	push dword user_end
	mov ax, SEL_DATA
	mov ds, ax
	iretd
.ret3:
	movzx eax, word [seen_ds]
	SAME "iret clears a ring 0 ds", eax, 0
	EQUAL "iret sets iopl", [seen_eflags], 0x3202
	ARM .bad_ss
	push dword SEL_DATA
	push dword ring3_stack_top
	push dword 2
	push dword SEL_CODE3
	push dword user_end
	mov [old_esp], esp
.iret:	iretd
.bad_ss:
	mov eax, [old_esp]
	SAME "iret with a bad ss (error)", [seen_error], SEL_DATA
	SAME "iret with a bad ss (eip)", [seen_eip], .iret
	SAME "iret with a bad ss (esp)", [seen_esp], eax
	EQUAL "iret with a bad ss", [seen_vector], 13

	RING3 user_div
	SAME "fault in ring 3: ss", [seen_ss], SEL_DATA3
	SAME "fault in ring 3: esp", [seen_esp], ring3_stack_top
	EQUAL "fault in ring 3", [seen_vector], 0
	ret

near_far:
	retf
near_far8:
	retf 8

gate_target:
	push ds
	push eax
	mov ax, SEL_DATA
	mov ds, ax
	lea eax, [esp + 8]
	mov [inner_esp], eax
	mov eax, [esp + 8 + 4]
	mov [caller_cs], eax
	mov eax, [esp + 8 + 8]
	mov [param2], eax
	mov eax, [esp + 8 + 12]
	mov [param1], eax
	mov eax, [esp + 8 + 16]
	mov [caller_esp], eax
	mov eax, [esp + 8 + 20]
	mov [caller_ss], eax
	pop eax
	pop ds
	cmp dword [keep_ds], 0
	jne .keep
	push eax
	mov ax, SEL_DATA
	mov ds, ax
	pop eax
.keep:	retf 8

gate_ring1:
	push eax
	mov eax, cs
	mov [inner_cs], eax
	pop eax
	retf

user_gate:
	push dword 0x11111111
	push dword 0x22222222
	mov dword [keep_ds], 0
	call SEL_GATE | 3:0
	int 0x40
user_gate_keep:
	push dword 1
	push dword 2
	mov dword [keep_ds], 1
	call SEL_GATE | 3:0
	int 0x40
user_gate1:
	call SEL_GATE1 | 3:0
	int 0x40
user_gate0:
	call SEL_GATE0 | 3:0
user_gatenp:
	call SEL_GATENP | 3:0
user_gatebad:
	call SEL_GATEBAD | 3:0
user_jmp_gate:
	jmp SEL_GATE | 3:0
user_call_code:
	call SEL_CODE | 3:gate_target
user_conforming:
	call SEL_CONF | 3:.inside
.inside:
	mov eax, cs
	mov [inner_cs], eax
	int 0x40
user_iret_inner:
	push dword SEL_DATA
	push dword ring0_stack_top
	push dword 2
	push dword SEL_CODE
	push dword gate_target
	iretd
user_retf_null:
	push dword 0
	push dword 0
	retf
user_div:
	xor eax, eax
	div eax
user_end:
	int 0x40

old_esp:	dd 0
keep_ds:	dd 0
param1:		dd 0
param2:		dd 0
caller_cs:	dd 0
caller_ss:	dd 0
caller_esp:	dd 0
inner_esp:	dd 0
inner_cs:	dd 0
END_OF_PROGRAM
