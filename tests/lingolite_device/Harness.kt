// Drives LingoLite.kt for the tests: the runtime is at the other end of the standard streams.
//
//   Harness goldens DIRECTORY        translates the sentences of golden.json
//   Harness pieces MODEL TEXTS       encodes the texts of a JSON file, and decodes what it got
package org.lingolite

import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.File

private val input = DataInputStream(System.`in`.buffered())
private val output = DataOutputStream(System.out.buffered())

private fun DataOutputStream.text(text: String) {
    val bytes = text.toByteArray(Charsets.UTF_8)
    writeInt(bytes.size)
    write(bytes)
}

private fun DataInputStream.text() = ByteArray(readInt()).also { readFully(it) }.toString(Charsets.UTF_8)

private fun DataOutputStream.numbers(numbers: List<Int>) {
    writeInt(numbers.size)
    numbers.forEach(::writeInt)
}

/** Asks the other end for each graph. */
private object PipedRuntime : GraphRuntime {
    override fun run(graph: String, inputs: Map<String, Tensor>): Map<String, Tensor> {
        output.text("run")
        output.text(graph)
        output.writeInt(inputs.size)
        for ((name, tensor) in inputs) {
            output.text(name)
            output.numbers(tensor.shape.toList())
            when (val values = tensor.values) {
                is FloatArray -> output.text("float32").also { values.forEach(output::writeFloat) }
                is LongArray -> output.text("int64").also { values.forEach(output::writeLong) }
                is IntArray -> output.text("int32").also { values.forEach(output::writeInt) }
                is BooleanArray -> output.text("bool").also { values.forEach { output.writeByte(if (it) 1 else 0) } }
            }
        }
        output.flush()
        return (1..input.readInt()).associate {
            val name = input.text()
            val shape = IntArray(input.readInt()) { input.readInt() }
            name to Tensor(shape, FloatArray(shape.fold(1, Int::times)) { input.readFloat() })
        }
    }
}

private fun goldens(directory: File) {
    val goldens = Json.parse(File(directory, "golden.json").readText()).fields
    val (source, target) = listOf("source_language", "target_language").map { goldens.getValue(it).text }
    val translator = LingoLite(directory, PipedRuntime)
    for (golden in goldens.getValue("sentences").items) {
        val parts = ArrayList<String>()
        val found = translator.translate(golden.fields.getValue("source").text, source, target, parts::add)
        output.text("translation")
        output.numbers(found.ids)
        output.numbers(found.tokens)
        output.text(found.text)
        output.text(parts.lastOrNull() ?: "")
    }
}

private fun pieces(model: File, texts: File) {
    val pieces = PieceModel(model.readBytes())
    for (text in Json.parse(texts.readText()).items) {
        val found = pieces.encode(text.text)
        output.text("pieces")
        output.numbers(found.map { it.second })
        output.text(pieces.decode(found.map { it.first }))
        output.text(pieces.decode(found.map { pieces.pieces[it.second] }.reversed()))
    }
}

fun main(arguments: Array<String>) {
    when (arguments[0]) {
        "goldens" -> goldens(File(arguments[1]))
        "pieces" -> pieces(File(arguments[1]), File(arguments[2]))
    }
    output.text("end")
    output.flush()
}
