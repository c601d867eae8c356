// Translates with the files of this directory: SentencePiece, the frame around a source, and greedy search with a
// cache, in one file of plain Kotlin. A runtime (ONNX Runtime, LiteRT) comes in through `GraphRuntime`; README.md has
// one for each. Needs no dependency, Android API 21 or any JVM.
package org.lingolite

import java.io.File
import java.util.PriorityQueue

/** An array of numbers with a shape; `values` is a FloatArray, LongArray, IntArray or BooleanArray. */
class Tensor(val shape: IntArray, val values: Any) {
    val floats: FloatArray get() = values as FloatArray
}

/** Runs the graphs of `device.json` by name. */
interface GraphRuntime {
    fun run(graph: String, inputs: Map<String, Tensor>): Map<String, Tensor>
}

/** A translation: ids of the framed source, generated tokens with the end token, and their text. */
class Translation(val ids: List<Int>, val tokens: List<Int>, val text: String)

/** Translates single sentences. Not for several threads at once. */
class LingoLite(directory: File, private val runtime: GraphRuntime) {
    private val device = Json.parse(File(directory, "device.json").readText()).fields
    private val tokenizer = AppTokenizer(directory, device.getValue("tokenizer").fields)
    private val graphs = GraphPlan(device.getValue("graphs").fields)
    private val decoding = device.getValue("decoding").fields

    /** Translates one sentence; `onToken` is given the text after each token. */
    fun translate(text: String, source: String, target: String, onToken: ((String) -> Unit)? = null): Translation {
        val pair = tokenizer.pair(source, target)
        val framed = tokenizer.encode(text, pair)
        val tokens = ArrayList<Int>()
        if (framed.hasText) {
            search(framed.ids, pair) { token ->
                tokens.add(token)
                onToken?.invoke(tokenizer.decode(tokens))
            }
        }
        return Translation(framed.ids, tokens, tokenizer.decode(tokens))
    }

    private fun search(source: List<Int>, pair: LanguagePair, give: (Int) -> Unit) {
        val decoder = AppDecoder(graphs, runtime, source)
        val barred = tokenizer.neverGenerated
        val minLength = decoding.getValue("min_length").int
        var last = tokenizer.start
        for (token in pair.targetPrefix) {
            decoder.step(last)
            last = token
        }
        for (length in 1..limit(source.size)) {
            val logits = decoder.step(last)
            for (id in barred) logits[id] = Float.NEGATIVE_INFINITY
            if (length <= minLength) logits[tokenizer.end] = Float.NEGATIVE_INFINITY
            last = logits.indices.maxByOrNull { logits[it] }!! // the first of equal ones
            give(last)
            if (last == tokenizer.end) return
        }
    }

    private fun limit(numSourceTokens: Int): Int {
        val maxLength = decoding.getValue("max_length").int
        val factor = decoding["max_length_factor"] ?: return maxLength
        val minLength = decoding.getValue("min_length").int
        return minOf(maxLength, maxOf(1, minLength, (factor.number * numSourceTokens).toInt()))
    }
}

// The graphs.

private class GraphInput(val name: String, val type: String, val role: String, val shape: IntArray)

private class GraphCall(fields: Map<String, Json>) {
    val run = fields.getValue("run").text
    val logits = fields.getValue("logits").text
    val inputs = fields.getValue("inputs").items.map {
        val one = it.fields
        GraphInput(
            one.getValue("name").text, one.getValue("type").text, one.getValue("role").text, one.getValue("shape").ints,
        )
    }
}

private class GraphState(fields: Map<String, Json>) {
    val past = fields.getValue("past").text
    val present = fields.getValue("present").text
    val shape = fields.getValue("shape").ints
    val isPlaced = fields.getValue("is_placed").flag
    val axis = fields.getValue("axis").int
}

private class GraphPlan(fields: Map<String, Json>) {
    val encoder = GraphCall(fields.getValue("encoder").fields)
    val decoder = GraphCall(fields.getValue("decoder").fields)
    val state = fields.getValue("state").items.map { GraphState(it.fields) }
    val growth = fields.getValue("growth").int
    val masked = fields.getValue("masked").number.toFloat()
}

/** One sentence on its way through the decoder: what it keeps between calls, and the inputs of the next one. */
private class AppDecoder(private val graphs: GraphPlan, private val runtime: GraphRuntime, private val source: List<Int>) {
    private var position = 0
    private var token = 0
    private val past = graphs.state.associate { it.past to Tensor(it.shape, FloatArray(it.shape.product())) }.toMutableMap()
    private val cross = runtime.run(graphs.encoder.run, graphs.encoder.inputs.associate { it.name to input(it) })

    /** Logits of the token after `last`. */
    fun step(last: Int): FloatArray {
        token = last
        graphs.state.filter { it.isPlaced && position >= past.getValue(it.past).shape[it.axis] }.forEach(::grow)
        val outputs = runtime.run(graphs.decoder.run, graphs.decoder.inputs.associate { it.name to input(it) })
        for (one in graphs.state) {
            val present = outputs.getValue(one.present)
            if (one.isPlaced) place(past.getValue(one.past), present, one.axis) else past[one.past] = present
        }
        position += 1
        return outputs.getValue(graphs.decoder.logits).floats.copyOf()
    }

    private fun grow(one: GraphState) {
        val old = past.getValue(one.past)
        val shape = old.shape.copyOf().also { it[one.axis] += graphs.growth }
        val values = FloatArray(shape.product())
        val inner = old.shape.drop(one.axis).fold(1, Int::times)
        val wider = shape.drop(one.axis).fold(1, Int::times)
        if (inner > 0) {
            for (row in 0 until old.floats.size / inner) old.floats.copyInto(values, row * wider, row * inner, (row + 1) * inner)
        }
        past[one.past] = Tensor(shape, values)
    }

    /** Puts one row at the position along `axis`. */
    private fun place(kept: Tensor, row: Tensor, axis: Int) {
        val size = kept.shape.drop(axis + 1).fold(1, Int::times)
        val wide = kept.shape[axis] * size
        for (index in 0 until row.floats.size / size) {
            row.floats.copyInto(kept.floats, index * wide + position * size, index * size, (index + 1) * size)
        }
    }

    private fun input(one: GraphInput): Tensor = when (one.role) {
        "cross" -> cross.getValue(one.name)
        "past" -> past.getValue(one.name)
        "source_ids" -> integers(one, source.toIntArray())
        "source_mask" -> mask(one)
        "tokens" -> integers(one, intArrayOf(token))
        "position" -> integers(one, intArrayOf(position))
        "distances" -> integers(one, IntArray(places()) { if (it == places() - 1) 0 else maxOf(position - it, 0) })
        "target_mask" -> floats(one, FloatArray(places()) { if (it < position || it == places() - 1) 0f else graphs.masked })
        else -> throw IllegalArgumentException("device.json has the role ${one.role}: take the LingoLite.kt beside it")
    }

    /** Past positions that there is room for, and the one that is computed. */
    private fun places(): Int {
        val one = graphs.state.first { it.isPlaced }
        return past.getValue(one.past).shape[one.axis] + 1
    }

    private fun mask(one: GraphInput): Tensor {
        val shape = sized(one.shape, source.size)
        return if (one.type == "bool") Tensor(shape, BooleanArray(source.size) { true }) else Tensor(shape, FloatArray(source.size))
    }

    private fun integers(one: GraphInput, values: IntArray): Tensor {
        val shape = sized(one.shape, values.size)
        return if (one.type == "int64") Tensor(shape, LongArray(values.size) { values[it].toLong() }) else Tensor(shape, values)
    }

    private fun floats(one: GraphInput, values: FloatArray) = Tensor(sized(one.shape, values.size), values)

    private fun sized(shape: IntArray, size: Int) = IntArray(shape.size) { if (shape[it] < 0) size else shape[it] }
}

private fun IntArray.product() = fold(1, Int::times)

// The frame around texts.

internal class LanguagePair(fields: Map<String, Json>) {
    val source = fields.getValue("source").text
    val target = fields.getValue("target").text
    val textPrefix = fields.getValue("text_prefix").text
    val sourcePrefix = fields.getValue("source_prefix").ints.toList()
    val sourceSuffix = fields.getValue("source_suffix").ints.toList()
    val targetPrefix = fields.getValue("target_prefix").ints.toList()
}

internal class FramedSource(val ids: List<Int>, val hasText: Boolean)

private class TokenSide(directory: File, fields: Map<String, Json>) {
    val model = PieceModel(File(directory, fields.getValue("model").text).readBytes())
    val pieces = fields.getValue("pieces").textOrNull?.let { name ->
        Json.parse(File(directory, name).readText()).items.map { bytesOf(it.text) }
    }
    val ids = pieces?.withIndex()?.associate { (id, piece) -> piece to id }
    val moved = fields.getValue("moved").int
    val unknown = fields.getValue("unknown").int
    val controls = fields.getValue("controls").ints.toHashSet()
    val spelled = fields.getValue("spelled").fields.entries.associate { (id, ids) -> id.toInt() to ids.ints.toList() }
}

/** Framed ids of sources, and text of generated ids. */
class AppTokenizer internal constructor(directory: File, fields: Map<String, Json>) {
    private val sourceSide = TokenSide(directory, fields.getValue("source").fields)
    private val targetSide = TokenSide(directory, fields.getValue("target").fields)
    private val pairs = fields.getValue("pairs").items.map { LanguagePair(it.fields) }
    private val maxLength = fields.getValue("max_length").int
    private val strips = fields.getValue("strips").flag
    internal val start = fields.getValue("start").int
    internal val end = fields.getValue("end").int
    internal val neverGenerated = fields.getValue("never_generated").ints

    internal fun pair(source: String, target: String): LanguagePair =
        pairs.firstOrNull { it.source == source && it.target == target }
            ?: throw IllegalArgumentException("the model does not translate from $source to $target")

    internal fun encode(text: String, pair: LanguagePair): FramedSource {
        var body = emptyList<Int>()
        var before = 0
        if (text.any { !isSpace(it) }) {
            before = if (pair.textPrefix.isEmpty()) 0 else idsOf(pair.textPrefix).size
            val ids = idsOf(pair.textPrefix + text)
            body = ids.take(before) + ids.drop(before).flatMap { sourceSide.spelled[it] ?: listOf(it) }
        }
        val room = maxLength - pair.sourcePrefix.size - pair.sourceSuffix.size
        return FramedSource(pair.sourcePrefix + body.take(room) + pair.sourceSuffix, body.size > before)
    }

    fun decode(ids: List<Int>): String {
        val kept = ids.filter { it !in targetSide.controls }
        val list = targetSide.pieces
        val text = if (list != null) {
            targetSide.model.decode(kept.map { list[it] }).replace("\u2581", " ")
        } else {
            targetSide.model.decode(kept.map { targetSide.model.pieces[it - targetSide.moved] })
        }
        return if (strips) text.trim(::isSpace) else text
    }

    private fun idsOf(text: String): List<Int> = sourceSide.model.encode(text).map { (piece, id) ->
        when {
            sourceSide.ids != null -> sourceSide.ids[piece] ?: sourceSide.unknown
            id == sourceSide.model.unknown -> sourceSide.unknown
            else -> id + sourceSide.moved
        }
    }
}

/** White space as Python's `str.strip` has it; Kotlin's own lacks U+0085. */
private fun isSpace(character: Char) = character.isWhitespace() || character == '\u0085'

// SentencePiece. Bytes of UTF-8 are kept as strings of one character a byte, which compare and hash as they should.

private fun bytesOf(text: String) = String(text.toByteArray(Charsets.UTF_8), Charsets.ISO_8859_1)

private fun textOf(bytes: String) = String(bytes.toByteArray(Charsets.ISO_8859_1), Charsets.UTF_8)

private val SPACE = bytesOf("\u2581")
private const val UNIGRAM = 1
private const val NORMAL = 1
private const val UNKNOWN = 2
private const val CONTROL = 3
private const val USER_DEFINED = 4
private const val UNUSED = 5
private const val BYTE = 6
private const val UNKNOWN_PENALTY = 10f

/** Bytes of the UTF-8 character at `place`. */
private fun characterLength(text: String, place: Int): Int {
    val first = text[place].code
    val length = if (first < 0xC0) 1 else if (first < 0xE0) 2 else if (first < 0xF0) 3 else 4
    return minOf(length, text.length - place)
}

/** UTF-8 with the replacement character in the place of each byte that is none. */
private fun mended(bytes: String): String {
    val found = StringBuilder()
    var place = 0
    while (place < bytes.length) {
        val length = characterLength(bytes, place)
        val character = bytes.substring(place, place + length)
        val isValid = bytesOf(textOf(character)) == character
        found.append(if (isValid) character else bytesOf("\uFFFD"))
        place += if (isValid) length else 1
    }
    return found.toString()
}

/** Keys in order, to find all that a text begins with. */
private class SortedKeys(keys: Collection<String>) {
    private val keys = keys.sorted()

    /** Gives the length of each key that `text` has at `place`, the shortest first. */
    inline fun eachPrefix(text: String, place: Int, give: (Int) -> Unit) {
        var low = 0
        var high = keys.size
        var depth = 0
        while (place + depth < text.length && low < high) {
            val wanted = text[place + depth]
            low = bound(low, high, depth, wanted)
            high = bound(low, high, depth, wanted + 1)
            depth += 1
            if (low < high && keys[low].length == depth) give(depth)
        }
    }

    /** The first key from `low` on whose character at `depth` is `wanted` or comes after it. */
    private fun bound(from: Int, to: Int, depth: Int, wanted: Char): Int {
        var low = from
        var high = to
        while (low < high) {
            val middle = (low + high) / 2
            val isBefore = keys[middle].length <= depth || keys[middle][depth] < wanted
            if (isBefore) low = middle + 1 else high = middle
        }
        return low
    }

    fun longest(text: String, place: Int): Int {
        var found = 0
        eachPrefix(text, place) { found = it }
        return found
    }
}

/** Fields of a protocol buffer in order: their numbers, with a Long or the bytes. */
private fun readFields(data: String): List<Pair<Int, Any>> {
    val found = ArrayList<Pair<Int, Any>>()
    var place = 0
    fun number(): Long {
        var value = 0L
        var shift = 0
        while (true) {
            val byte = data[place++].code
            value = value or ((byte and 127).toLong() shl shift)
            shift += 7
            if (byte < 128) return value
        }
    }
    while (place < data.length) {
        val key = number().toInt()
        when (key and 7) {
            0 -> found.add(key shr 3 to number())
            else -> {
                val length = if (key and 7 == 1) 8 else if (key and 7 == 5) 4 else number().toInt()
                found.add(key shr 3 to data.substring(place, place + length))
                place += length
            }
        }
    }
    return found
}

private fun littleEndian(data: String, place: Int) =
    data[place].code or (data[place + 1].code shl 8) or (data[place + 2].code shl 16) or (data[place + 3].code shl 24)

/** SentencePiece's rules for text before it is segmented. */
private class TextNormalizer(fields: Map<Int, Any>, private val symbols: SortedKeys) {
    private val charsmap = fields[2] as String? ?: ""
    private val units: IntArray
    private val replacements: String
    val addsSpace = (fields[3] ?: 1L) != 0L
    val removesSpaces = (fields[4] ?: 1L) != 0L
    private val space = if ((fields[5] ?: 1L) != 0L) SPACE else " "

    init {
        val size = if (charsmap.isEmpty()) 0 else littleEndian(charsmap, 0)
        units = IntArray(size / 4) { littleEndian(charsmap, 4 + 4 * it) }
        replacements = charsmap.drop(4 + size)
    }

    /** `isSuffix`: spaces belong to the words before them. */
    fun normalize(text: String, isSuffix: Boolean): String {
        var place = 0
        var isAfterSpace = removesSpaces
        val found = StringBuilder()
        while (removesSpaces && place < text.length) {
            val (replaced, length) = prefix(text, place)
            if (replaced != " ") break
            place += length
        }
        if (place == text.length) return ""
        if (addsSpace && !isSuffix) found.append(space)
        while (place < text.length) {
            var (replaced, length) = prefix(text, place)
            if (isAfterSpace) replaced = replaced.trimStart(' ')
            if (replaced.isNotEmpty()) {
                found.append(replaced.replace(" ", space))
                isAfterSpace = replaced.endsWith(" ")
            }
            isAfterSpace = isAfterSpace && removesSpaces
            place += length
        }
        while (removesSpaces && found.endsWith(space)) found.setLength(found.length - space.length)
        if (addsSpace && isSuffix) found.append(space)
        return found.toString()
    }

    /** What stands for the text at `place`, and how many bytes of it that replaces. */
    private fun prefix(text: String, place: Int): Pair<String, Int> {
        val symbol = symbols.longest(text, place)
        if (symbol > 0) return text.substring(place, place + symbol) to symbol
        var length = 0
        var value = 0
        if (units.isNotEmpty()) {
            var node = offset(units[0])
            for (index in place until text.length) {
                node = node xor text[index].code
                if (node >= units.size || units[node] and 0x800000FF.toInt() != text[index].code) break
                val unit = units[node]
                node = node xor offset(unit)
                if (unit ushr 8 and 1 == 1) {
                    length = index - place + 1
                    value = units[node] and 0x7FFFFFFF
                }
            }
        }
        if (length > 0) return replacements.substring(value, replacements.indexOf('\u0000', value)) to length
        length = characterLength(text, place)
        return text.substring(place, place + length) to length
    }

    /** Where the children of a unit of the double array (darts-clone) are. */
    private fun offset(unit: Int) = (unit ushr 10) shl ((unit and 512) ushr 6)
}

/** A SentencePiece model, unigram or BPE: text to pieces with ids, and pieces back to text. */
class PieceModel(file: ByteArray) {
    internal val pieces = ArrayList<String>()
    private val scores = ArrayList<Float>()
    private val types = ArrayList<Int>()
    private val kind: Int
    private val fallsBack: Boolean
    private val isSuffix: Boolean
    private val unknownSurface: String
    private val ids: Map<String, Int>
    private val inText: Map<String, Int>
    private val keys: SortedKeys
    private val symbols: SortedKeys
    private val byteIds: Map<Int, Int>
    internal val unknown: Int
    private val lowest: Float
    private val normalizer: TextNormalizer
    private val denormalizer: TextNormalizer?

    init {
        val fields = readFields(String(file, Charsets.ISO_8859_1))
        fun part(number: Int) = readFields(fields.firstOrNull { it.first == number }?.second as String? ?: "").toMap()
        for ((_, value) in fields.filter { it.first == 1 }) {
            val piece = readFields(value as String).toMap()
            pieces.add(piece[1] as String? ?: "")
            scores.add(Float.fromBits(littleEndian(piece[2] as String? ?: "\u0000\u0000\u0000\u0000", 0)))
            types.add((piece[3] as Long? ?: 1L).toInt())
        }
        val trainer = part(2)
        kind = (trainer[3] as Long? ?: 1L).toInt()
        fallsBack = trainer[35] == 1L
        isSuffix = trainer[24] == 1L
        unknownSurface = trainer[44] as String? ?: bytesOf(" \u2047 ")
        ids = pieces.withIndex().associate { (id, piece) -> piece to id }
        inText = ids.filterValues { types[it] == NORMAL || types[it] == USER_DEFINED || types[it] == UNUSED }
        keys = SortedKeys(inText.keys)
        symbols = SortedKeys(ids.filterValues { types[it] == USER_DEFINED }.keys)
        byteIds = ids.values.filter { types[it] == BYTE }.associateBy { pieces[it].substring(3, 5).toInt(16) }
        unknown = types.indexOf(UNKNOWN)
        lowest = scores.indices.filter { types[it] == NORMAL }.minOf { scores[it] }
        normalizer = TextNormalizer(part(3), symbols)
        denormalizer = part(5).takeIf { it[2] != null }?.let { TextNormalizer(it, SortedKeys(emptyList())) }
    }

    /** Pieces and their ids; several unknown characters in a row are one piece. */
    internal fun encode(text: String): List<Pair<String, Int>> {
        val normalized = normalizer.normalize(bytesOf(text), isSuffix)
        val found = ArrayList<Pair<String, Int>>()
        for ((piece, id) in if (kind == UNIGRAM) unigram(normalized) else bpe(normalized)) {
            when {
                id != unknown -> found.add(piece to id)
                fallsBack -> piece.mapTo(found) { byte -> byteIds.getValue(byte.code).let { pieces[it] to it } }
                found.isNotEmpty() && found.last().second == unknown -> found[found.size - 1] = found.last().first + piece to id
                else -> found.add(piece to id)
            }
        }
        return found
    }

    /** The segmentation with the highest score; sums are float32, as SentencePiece has them. */
    private fun unigram(text: String): List<Pair<String, Int>> {
        val best = FloatArray(text.length + 1)
        val starts = IntArray(text.length + 1) { -1 }
        val chosen = IntArray(text.length + 1)
        val unknownScore = lowest - UNKNOWN_PENALTY
        var place = 0
        while (place < text.length) {
            val length = characterLength(text, place)
            var hasCharacter = false
            fun offer(end: Int, score: Float, id: Int) {
                if (starts[end] < 0 || best[place] + score > best[end]) {
                    best[end] = best[place] + score
                    starts[end] = place
                    chosen[end] = id
                }
            }
            keys.eachPrefix(text, place) { size ->
                val id = inText.getValue(text.substring(place, place + size))
                if (types[id] != UNUSED) {
                    val isSymbol = types[id] == USER_DEFINED
                    offer(place + size, if (isSymbol) (0.1 * (size - 1)).toFloat() else scores[id], id)
                    hasCharacter = hasCharacter || size == length
                }
            }
            if (!hasCharacter) offer(place + length, unknownScore, unknown)
            place += length
        }
        val found = ArrayList<Pair<String, Int>>()
        while (place > 0) {
            found.add(text.substring(starts[place], place) to chosen[place])
            place = starts[place]
        }
        return found.asReversed()
    }

    private class Merge(val score: Float, val left: Int, val right: Int, val merged: String)

    /** Merges the pair with the highest score, the leftmost of equal ones, until none is left. */
    private fun bpe(text: String): List<Pair<String, Int>> {
        val parts = ArrayList<String>()
        val frozen = ArrayList<Boolean>()
        var place = 0
        while (place < text.length) {
            val symbol = symbols.longest(text, place)
            val length = if (symbol > 0) symbol else characterLength(text, place)
            parts.add(text.substring(place, place + length))
            frozen.add(symbol > 0)
            place += length
        }
        val before = IntArray(parts.size) { it - 1 }
        val after = IntArray(parts.size) { if (it + 1 < parts.size) it + 1 else -1 }
        val waiting = PriorityQueue<Merge>(compareBy<Merge> { -it.score }.thenBy { it.left })
        val halves = HashMap<String, Pair<String, String>>()
        fun offer(left: Int, right: Int) {
            if (left < 0 || right < 0 || frozen[left] || frozen[right]) return
            val merged = parts[left] + parts[right]
            val id = inText[merged] ?: return
            waiting.add(Merge(scores[id], left, right, merged))
            if (types[id] == UNUSED) halves[merged] = parts[left] to parts[right]
        }
        for (right in 1 until parts.size) offer(right - 1, right)
        while (waiting.isNotEmpty()) {
            val top = waiting.remove()
            val (left, right) = top.left to top.right
            val isStale = parts[left].isEmpty() || parts[right].isEmpty() ||
                parts[left].length + parts[right].length != top.merged.length
            if (isStale) continue
            parts[left] = top.merged
            parts[right] = ""
            after[left] = after[right]
            if (after[left] >= 0) before[after[left]] = left
            offer(before[left], left)
            offer(left, after[left])
        }
        return parts.filter { it.isNotEmpty() }.flatMap { split(it, halves) }
    }

    /** A piece, or what an unused one was merged from. */
    private fun split(part: String, halves: Map<String, Pair<String, String>>): List<Pair<String, Int>> {
        val id = ids[part] ?: unknown
        val merged = halves[part]
        if (types[id] != UNUSED || merged == null) return listOf(part to id)
        return split(merged.first, halves) + split(merged.second, halves)
    }

    /** Text of pieces; one that the model does not have is spelled as it is. */
    internal fun decode(given: List<String>): String {
        val text = StringBuilder()
        val waiting = StringBuilder()
        var isBegin = true
        var ateSpace = false
        for (piece in given) {
            val id = ids[piece] ?: unknown
            if (types[id] == BYTE) {
                waiting.append(piece.substring(3, 5).toInt(16).toChar())
                continue
            }
            text.append(mended(waiting.toString()))
            waiting.setLength(0)
            if (ateSpace || text.isNotEmpty()) isBegin = false
            ateSpace = false
            when (types[id]) {
                UNKNOWN -> text.append(if (piece == pieces[id]) unknownSurface else piece)
                CONTROL -> Unit
                else -> {
                    val isEaten = isBegin && (normalizer.addsSpace || normalizer.removesSpaces) && piece.startsWith(SPACE)
                    ateSpace = isEaten && !normalizer.removesSpaces
                    text.append((if (isEaten) piece.drop(SPACE.length) else piece).replace(SPACE, " "))
                }
            }
        }
        text.append(mended(waiting.toString()))
        return textOf(denormalizer?.normalize(text.toString(), false) ?: text.toString())
    }
}

// JSON, as far as it is needed here: Android's own is not on every JVM.

/** A value of JSON. */
class Json private constructor(private val value: Any?) {
    @Suppress("UNCHECKED_CAST")
    internal val fields: Map<String, Json> get() = value as Map<String, Json>

    @Suppress("UNCHECKED_CAST")
    internal val items: List<Json> get() = value as List<Json>
    internal val text: String get() = value as String
    internal val textOrNull: String? get() = value as String?
    internal val number: Double get() = value as Double
    internal val int: Int get() = number.toInt()
    internal val flag: Boolean get() = value as Boolean
    internal val ints: IntArray get() = items.map { it.int }.toIntArray()

    private class Reader(private val text: String) {
        private var place = 0

        fun value(): Json {
            skip()
            return when (val first = text[place]) {
                '{' -> Json(members())
                '[' -> Json(elements())
                '"' -> Json(string())
                't' -> Json(true).also { place += 4 }
                'f' -> Json(false).also { place += 5 }
                'n' -> Json(null).also { place += 4 }
                else -> number(first)
            }
        }

        private fun skip() {
            while (text[place].isWhitespace()) place += 1
        }

        private fun isEnd(end: Char): Boolean {
            skip()
            if (text[place] == ',') {
                place += 1
                skip()
            }
            if (text[place] != end) return false
            place += 1
            return true
        }

        private fun members(): Map<String, Json> {
            place += 1
            val found = LinkedHashMap<String, Json>()
            while (!isEnd('}')) {
                val name = string()
                skip()
                place += 1
                found[name] = value()
            }
            return found
        }

        private fun elements(): List<Json> {
            place += 1
            val found = ArrayList<Json>()
            while (!isEnd(']')) found.add(value())
            return found
        }

        private fun number(first: Char): Json {
            require(first == '-' || first.isDigit()) { "no JSON at character $place" }
            val end = (place until text.length).firstOrNull { text[it] !in "+-.0123456789eE" } ?: text.length
            return Json(text.substring(place, end).toDouble()).also { place = end }
        }

        private fun string(): String {
            place += 1
            val found = StringBuilder()
            while (text[place] != '"') {
                if (text[place] != '\\') {
                    found.append(text[place++])
                    continue
                }
                when (val escaped = text[place + 1]) {
                    'u' -> found.append(text.substring(place + 2, place + 6).toInt(16).toChar())
                    'b' -> found.append('\b')
                    'f' -> found.append('\u000C')
                    'n' -> found.append('\n')
                    'r' -> found.append('\r')
                    't' -> found.append('\t')
                    else -> found.append(escaped)
                }
                place += if (text[place + 1] == 'u') 6 else 2
            }
            place += 1
            return found.toString()
        }
    }

    companion object {
        fun parse(text: String): Json = Reader(text).value()
    }
}
