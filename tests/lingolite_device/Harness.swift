// Drives LingoLite.swift for the tests: the runtime is at the other end of the standard streams. As Harness.kt.
import Foundation

private func write(_ bytes: [UInt8]) { FileHandle.standardOutput.write(Data(bytes)) }

private func bigEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array($0) }
}

private func packed(_ text: String) -> [UInt8] { bigEndian(Int32(text.utf8.count)) + Array(text.utf8) }

private func packed(_ numbers: [Int]) -> [UInt8] {
    bigEndian(Int32(numbers.count)) + numbers.flatMap { bigEndian(Int32($0)) }
}

private func read(_ count: Int) -> [UInt8] {
    var found: [UInt8] = []
    while found.count < count {
        let part = FileHandle.standardInput.readData(ofLength: count - found.count)
        if part.isEmpty { exit(1) }
        found += part
    }
    return found
}

private func readInt() -> Int { Int(Int32(bitPattern: read(4).reduce(0) { $0 << 8 | UInt32($1) })) }

/// Asks the other end for each graph.
private struct PipedRuntime: GraphRuntime {
    func run(_ graph: String, _ inputs: [String: Tensor]) throws -> [String: Tensor] {
        var bytes = packed("run") + packed(graph) + bigEndian(Int32(inputs.count))
        for (name, tensor) in inputs {
            bytes += packed(name) + packed(tensor.shape)
            switch tensor.values {
            case .floats(let values): bytes += packed("float32") + values.flatMap { bigEndian($0.bitPattern) }
            case .longs(let values): bytes += packed("int64") + values.flatMap { bigEndian($0) }
            case .ints(let values): bytes += packed("int32") + values.flatMap { bigEndian($0) }
            case .bools(let values): bytes += packed("bool") + values.map { $0 ? 1 : 0 }
            }
        }
        write(bytes)
        var outputs: [String: Tensor] = [:]
        for _ in 0..<readInt() {
            let name = String(decoding: read(readInt()), as: UTF8.self)
            let shape = (0..<readInt()).map { _ in readInt() }
            let data = read(4 * shape.reduce(1, *))
            let floats = stride(from: 0, to: data.count, by: 4).map { place in
                Float(bitPattern: data[place..<place + 4].reduce(0) { $0 << 8 | UInt32($1) })
            }
            outputs[name] = Tensor(shape: shape, values: .floats(floats))
        }
        return outputs
    }
}

private struct Goldens: Decodable {
    struct Golden: Decodable { let source: String }
    let source_language: String
    let target_language: String
    let sentences: [Golden]
}

@main
struct Harness {
    static func main() throws {
        let arguments = CommandLine.arguments
        if arguments[1] == "goldens" {
            try goldens(URL(fileURLWithPath: arguments[2], isDirectory: true))
        } else {
            try pieces(URL(fileURLWithPath: arguments[2]), URL(fileURLWithPath: arguments[3]))
        }
        write(packed("end"))
    }

    static func goldens(_ directory: URL) throws {
        let data = try Data(contentsOf: directory.appendingPathComponent("golden.json"))
        let goldens = try JSONDecoder().decode(Goldens.self, from: data)
        let translator = try LingoLite(directory: directory, runtime: PipedRuntime())
        for golden in goldens.sentences {
            var last = ""
            let found = try translator.translate(
                golden.source, from: goldens.source_language, to: goldens.target_language, onToken: { last = $0 })
            write(packed("translation") + packed(found.ids) + packed(found.tokens) + packed(found.text) + packed(last))
        }
    }

    static func pieces(_ model: URL, _ texts: URL) throws {
        let pieces = try PieceModel([UInt8](Data(contentsOf: model)))
        for text in try JSONDecoder().decode([String].self, from: Data(contentsOf: texts)) {
            let found = pieces.encode(Array(text.utf8))
            let reversed = found.map { pieces.pieces[$0.id] }.reversed()
            write(packed("pieces") + packed(found.map(\.id)))
            write(packed(pieces.decode(found.map(\.bytes))) + packed(pieces.decode(Array(reversed))))
        }
    }
}
