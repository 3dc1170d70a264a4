# objs.awk - turns the `objs:` comments of test sources into one make rule: awk -v program=PATH -f objs.awk SOURCE...
# Only a comment among the first thirty lines counts; it may go over several lines.

# "all": everything but the main program; "DIR/all": the files of that folder; "-OBJECT": not this one; else one object.
function objects(word)
{
	if (sub(/^-/, "", word)) {
		without = without " $(O)/" word
		return ""
	}
	if (word == "all")
		return "$(LIBRARY_OBJECTS)"
	if (sub(/\/all$/, "/", word))
		return "$(filter $(O)/" word "%,$(LIBRARY_OBJECTS))"
	return "$(O)/" word
}

FNR == 1 { inside = 0 }
FNR <= 30 && !inside && /\/\* objs:/ { inside = 1; sub(/.*\/\* objs:/, "") }
inside {
	last = /\*\//
	sub(/\*\/.*/, "")
	sub(/^[ \t]*\*/, "")
	for (i = 1; i <= NF; i++)
		list = list " " objects($i)
	if (last)
		inside = 0
}
END { print program ": $(filter-out " without "," list ")" }
