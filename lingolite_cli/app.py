import typer
def main():
    pass
