AREA = "vacuum"
